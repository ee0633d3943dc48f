// The example page that follows many streams over one connection, in Chromium, as somebody uses it:
// node fan-in.mjs URL CHROMIUM PROFILE PAGE PICTURES, where the page is served from another origin than
// the streams below URL. TOKEN and READ_TOKEN are what the page is given. Prints a line of JSON for each
// check, and {"server": "stop" | "start"} where that has to be done before it goes on, which a line on
// stdin says.
import { once } from "node:events"
import { readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { createInterface } from "node:readline"
import { run } from "./checks.mjs"
import { open } from "./chromium.mjs"
import { equal, eventually, expect, Root } from "./control.mjs"

const [url, chromium, profile, page, pictures] = process.argv.slice(2)
const { TOKEN = "", READ_TOKEN = "" } = process.env
const lines = createInterface(process.stdin)
// Ends with the test, however that ends.
lines.on("close", () => process.exit(1))
const server = async (to) => {
  process.stdout.write(`${JSON.stringify({ server: to })}\n`)
  await once(lines, "line")
}

const pages = createServer(async (_, response) => {
  response.writeHead(200, { "Content-Type": "text/html" })
  response.end(await readFile(page))
})
pages.listen(0, "127.0.0.1")
await once(pages, "listening")
// Copies are kept for longer than the server takes to start, and than a connection lasts.
const address = `http://127.0.0.1:${pages.address().port}/?ttl=15`

process.env.STREAM_ROOT = url
if (TOKEN) process.env.STREAM_AUTH = `Bearer ${TOKEN}`
const root = new Root(url)
const { tab, go, ask } = await open(chromium, profile)
// How many connections the page opens, apart from those that the browser opens again.
await tab("Page.addScriptToEvaluateOnNewDocument", {
  source: `window.opened = 0
    window.EventSource = class extends EventSource {
      constructor(...how) {
        super(...how)
        window.opened += 1
      }
    }`,
})

const text = (value) => JSON.stringify(value)
const state = () => ask(`document.querySelector("#state").textContent`)
const isConnected = () => eventually("it is connected", async () => (await state()) === "Connected.", 30_000)
const kept = () => ask(`JSON.parse(sessionStorage.getItem("fan-in"))`)
const article = (path) =>
  `[...document.querySelectorAll("article")].find((one) => one.querySelector("h2").textContent === ${text(path)})`
const fill = (form, values) =>
  ask(`{
    const form = ${form}
    for (const [name, value] of Object.entries(${text(values)})) form.elements[name].value = value
    form.requestSubmit()
  }`)
const shown = (path) => ask(`[...${article(path)}?.querySelectorAll("li") ?? []].map((one) => one.textContent)`)
const shows = async (path, expected) => {
  await eventually(`${path} shows ${expected}`, async () => (await shown(path)).length >= expected.length, 20_000)
  equal(await shown(path), expected, path)
}
const wrong = () => ask(`document.querySelector("#wrong").textContent`)
const sources = () => ask(`[...document.querySelectorAll("h2")].map((one) => one.textContent)`)
const total = () => ask(`document.querySelector("#total").textContent`)
const opened = () => ask("window.opened")
const subscription = async () => root.subscription(`inbox-${(await kept()).id}`)

const checks = {
  "a page of another origin follows three streams over one connection": async () => {
    await go(address)
    const start = (readToken) =>
      fill(`document.querySelector("#start")`, { root: `${url}/`, token: TOKEN, readToken })
    if (READ_TOKEN) {
      await start("x.y.z")
      await eventually("the token is refused", async () => (await wrong()).includes("needs a token"))
      equal(await ask(`document.querySelector("#start").hidden`), false, "the form")
    }
    await start(READ_TOKEN)
    await isConnected()
    equal(await wrong(), "", "what is wrong")
    equal(await sources(), ["demo/weather", "demo/trades", "demo/chat"], "streams")
    await fill(`${article("demo/chat")}.querySelector("form")`, { text: "<b>hello</b>" })
    await shows("demo/chat", ["<b>hello</b>"])
    await root.append("demo/weather", { rain: true })
    await root.append("demo/trades", "é")
    await shows("demo/weather", ['{"rain":true}'])
    await shows("demo/trades", ["é"])
    // One more, where the first was refused.
    const before = READ_TOKEN ? 1 : 0
    equal([(await opened()) - before, await total()], [1, "3 messages"], "connections and messages")
  },

  "streams are added and taken away while it is connected": async () => {
    const before = await opened()
    await root.create("demo/news", ["old"])
    await fill(`document.querySelector("#add")`, { path: "demo/news" })
    await eventually("it is there", async () => (await sources()).includes("demo/news"))
    await root.append("demo/news", "new")
    await shows("demo/news", ["new"])
    await ask(`${article("demo/chat")}.querySelector(".remove").click()`)
    await eventually("it is gone", async () => !(await sources()).includes("demo/chat"))
    equal(await ask("document.activeElement.name"), "path", "where the focus is")
    await root.append("demo/chat", "nobody hears it")
    await root.append("demo/weather", "sun")
    await shows("demo/weather", ['{"rain":true}', "sun"])
    equal(await sources(), ["demo/weather", "demo/trades", "demo/news"], "streams")
    const links = await (await subscription()).links()
    equal(links, ["news", "trades", "weather"].map((name) => `demo/${name} explicit`), "links")
    equal([(await opened()) - before, await total()], [0, "5 messages"], "connections and messages")
  },

  "what is wrong is said, and can be mended": async () => {
    await fill(`document.querySelector("#add")`, { path: "a//b" })
    await eventually("a reason", async () => (await wrong()).includes("400"))
    await root.append("demo/news", "still here")
    await shows("demo/news", ["new", "still here"])
    equal(await wrong() !== "", true, "it stays until something else is done")
    await fill(`${article("demo/trades")}.querySelector("form")`, { text: "sold" })
    await shows("demo/trades", ["é", "sold"])
    equal(await wrong(), "", "then it goes")
  },

  "it comes back when the server was away": async () => {
    await server("stop")
    await eventually("it notices", async () => (await state()) !== "Connected.")
    await server("start")
    await root.append("demo/weather", "after the restart")
    await shows("demo/weather", ['{"rain":true}', "sun", "after the restart"])
    await isConnected()
    equal(await total(), "8 messages", "messages")
  },

  "a page that is loaded again shows what it showed, and goes on": async () => {
    const { id, offset } = await kept()
    await go("about:blank")
    await root.append("demo/trades", "while it was away")
    await go(address)
    await isConnected()
    await shows("demo/trades", ["é", "sold", "while it was away"])
    await shows("demo/news", ["new", "still here"])
    const now = await kept()
    equal([now.id, now.offset > offset], [id, true], "what it follows")
    equal(await sources(), ["demo/news", "demo/trades", "demo/weather"], "streams")
    equal([await opened(), await total()], [1, "8 messages"], "connections and messages")
  },

  "it is whole at 360 pixels, in the light and in the dark, and each control has a name": async () => {
    for (const [width, scheme] of [[1200, "light"], [360, "light"], [360, "dark"]]) {
      await tab("Emulation.setDeviceMetricsOverride", {
        width,
        height: 800,
        deviceScaleFactor: 1,
        mobile: width < 500,
      })
      const features = [{ name: "prefers-color-scheme", value: scheme }]
      await tab("Emulation.setEmulatedMedia", { features })
      equal(await ask("document.documentElement.scrollWidth <= innerWidth"), true, `${width} pixels`)
      const { data } = await tab("Page.captureScreenshot", { captureBeyondViewport: true })
      await writeFile(`${pictures}/fan-in-${width}-${scheme}.png`, data, "base64")
    }
    const { nodes } = await tab("Accessibility.getFullAXTree")
    const controls = nodes.filter(({ role, ignored }) => !ignored && ["button", "textbox", "log"].includes(role?.value))
    const names = controls.map(({ name }) => name?.value ?? "")
    equal(names.filter((name) => name === ""), [], "without a name")
    for (const name of ["Remove demo/news", "Message to demo/news", "Messages of demo/news", "Another stream"]) {
      equal(names.includes(name), true, `${name} in ${names}`)
    }
    equal(new Set(names).size, names.length, "a name of one's own each")
  },

  "when nobody reads, target and subscription go, and the page begins anew": async () => {
    const before = await kept()
    const old = await subscription()
    await go("about:blank")
    await eventually("they are gone", async () => (await old.get()).status === 404, 45_000)
    expect(await root.ask("HEAD", `inbox/${before.id}`), 404)
    await root.append("demo/news", "nobody hears it")
    await go(address)
    await isConnected()
    const now = await kept()
    equal(now.id !== before.id, true, "another target")
    equal((await sources()).toSorted(), before.streams.toSorted(), "streams")
    await root.append("demo/news", "heard")
    await shows("demo/news", ["heard"])
  },

  "who stops leaves nothing behind": async () => {
    const { id } = await kept()
    const subscribed = await subscription()
    await ask(`document.querySelector("#stop").click()`)
    await eventually("it has stopped", async () => (await kept()) === null)
    expect(await subscribed.get(), 404, "SUBSCRIPTION_NOT_FOUND")
    expect(await root.ask("HEAD", `inbox/${id}`), 404)
    equal(await ask(`document.querySelector("#start").hidden`), false, "the form")
  },
}

await run(checks, (result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`)
})
process.exit()
