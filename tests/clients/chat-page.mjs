// The page of the example chat in Chromium, as somebody uses it on two devices, with a stand-in for the
// provider: node chat-page.mjs CHROMIUM PROFILE PICTURES. Prints a line of JSON for each check, and what
// is to happen to the server.
import { writeFile } from "node:fs/promises"
import { run, sleep } from "./checks.mjs"
import { open as openBrowser } from "./chromium.mjs"
import { equal, eventually } from "./control.mjs"
import { open, words } from "./provider.mjs"
import { report, server } from "./told.mjs"

const [chromium, profile, pictures] = process.argv.slice(2)
const provider = await open()
const vars = {
  PROVIDER_URL: `${provider.url}/v1/messages`,
  PROVIDER_KEY: "the key",
  PATIENCE: "2",
  MODEL: "a model",
  // So short that connections end while somebody looks.
  SSE_TIMEOUT_MS: "3000",
}
let base = await server("start", vars)

const browser = await openBrowser(chromium, profile)
const first = browser
const second = await browser.another()

const text = (value) => JSON.stringify(value)
/** What a person does on a page, and sees there. */
const page = ({ ask, tab, go }) => ({
  go,
  /** Types a question, and sends it with the keyboard. */
  async says(question) {
    await ask(`document.querySelector("#question").focus()`)
    await tab("Input.insertText", { text: question })
    await press(tab, "Enter")
  },
  reload: async () => {
    await ask("window.isOld = true")
    await tab("Page.reload")
    await eventually("it is loaded", () => ask(`!window.isOld && document.readyState === "complete"`).catch(() => false))
  },
  path: () => ask("location.pathname"),
  questions: () => ask(`[...document.querySelectorAll("article.user")].map((it) => it.textContent)`),
  /** The answer to the last question: its text, and in which state it is. */
  answer: () =>
    ask(`{
      const last = [...document.querySelectorAll("#messages > article")].at(-1)
      last?.matches(".answer") ? [last.querySelector(".content").textContent, last.className.replace("answer ", "")] : ["", "none"]
    }`),
  /** Waits until it has heard of a question. */
  hears: (question) =>
    eventually(`${question} is heard`, () => ask(`[...document.querySelectorAll("article.user")].at(-1)?.textContent.startsWith(${text(question)})`)),
  click: (selector) => ask(`document.querySelector(${text(selector)}).click()`),
  seen: (selector) => ask(`{ const it = document.querySelector(${text(selector)}); it && !it.hidden ? it.textContent : null }`),
  isIn: (what, state, millis = 20_000) => {
    const is = async () => (await page({ ask }).answer())[1] === state
    return eventually(`${what} is ${state}`, is, millis)
  },
  has: (what, length, millis = 20_000) => {
    const is = async () => (await page({ ask }).answer())[0].length >= length
    return eventually(`${what} has ${length} letters`, is, millis)
  },
})

const press = async (tab, key, modifiers = 0) => {
  const event = { key, code: key, windowsVirtualKeyCode: 13, modifiers, text: "\r" }
  await tab("Input.dispatchKeyEvent", { type: "keyDown", ...event })
  await tab("Input.dispatchKeyEvent", { type: "keyUp", ...event, text: undefined })
}

const [one, two] = [page(first), page(second)]
/** The whole answer, and nothing twice. */
async function isWhole(page, count) {
  const said = (await page.answer())[0].trimEnd().split(" ")
  const wrong = said.findIndex((word, n) => `${word} ` !== words(n + 1)[n])
  equal([said.length, wrong], [count, -1], "how many words, and which is wrong")
}
const calls = (what) => provider.asked().filter(({ conversation }) => conversation.at(-1).content.includes(what)).length

/** Takes pictures of a page at two widths, in the light and in the dark. */
async function picture({ tab, ask }, name) {
  for (const [width, height] of [[1280, 800], [360, 740]]) {
    for (const scheme of ["light", "dark"]) {
      await tab("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 })
      await tab("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] })
      await sleep(100)
      equal(await ask("document.documentElement.scrollWidth <= innerWidth"), true, `${name} at ${width} pixels`)
      const { data } = await tab("Page.captureScreenshot")
      await writeFile(`${pictures}/${name}-${width}-${scheme}.png`, data, "base64")
    }
  }
  await tab("Emulation.clearDeviceMetricsOverride")
}

const checks = {
  "an answer is seen while it is written": async () => {
    await one.go(`${base}/`)
    await picture(first, "empty")
    await one.says("first [words=80] [pause=50] [start=1000]")
    await one.isIn("it", "waiting")
    equal((await one.seen(".state")).includes("Waiting for the model"), true, "it says that it waits")
    await one.isIn("it", "streaming")
    await one.has("it", 60)
    equal(await one.seen("#stop"), "Stop", "it can be stopped")
    equal((await one.path()).startsWith("/chat/"), true, "the chat has an address")
    await one.isIn("it", "done")
    await isWhole(one, 80)
    equal(await one.questions(), ["first [words=80] [pause=50] [start=1000]"], "questions")
    equal([await one.seen("#stop"), await one.seen("#send")], [null, "Send"], "the next question can be asked")
  },

  "a page that is loaded again in the middle goes on at once from where it is": async () => {
    await one.says("reloaded [words=100] [pause=50]")
    await one.has("it", 100)
    const [before] = await one.answer()
    await one.reload()
    await one.has("what was there", before.length, 1000)
    equal((await one.answer())[1], "streaming", "state")
    await one.isIn("it", "done")
    await isWhole(one, 100)
    equal([calls("reloaded"), (await one.questions()).length], [1, 2], "calls, questions")
    await one.reload()
    await one.isIn("it", "done", 2000)
    await isWhole(one, 100)
  },

  "a second device sees the same, live, and may ask, too": async () => {
    await two.go(`${base}${await one.path()}`)
    await two.isIn("what was said", "done")
    await one.says("on two devices [words=80] [pause=50]")
    await two.hears("on two devices")
    await two.has("the second device", 60)
    equal((await two.answer())[1], "streaming", "state")
    await two.isIn("it", "done")
    await one.isIn("it", "done")
    equal(await two.questions(), await one.questions(), "questions")
    await isWhole(two, 80)
    await two.says("from the other")
    await one.hears("from the other")
    await one.isIn("its answer", "done")
    await isWhole(one, 20)
  },

  "an answer that broke off says so, and can be had anew": async () => {
    await one.says("broken [break=12]")
    await one.isIn("it", "failed")
    await two.hears("broken")
    await two.isIn("on the other device", "failed")
    await isWhole(one, 12)
    const asked = calls("broken")
    await two.click(".failed .state button")
    await eventually("it is asked again", () => calls("broken") > asked)
    await one.isIn("it", "failed")
    equal((await one.questions()).filter((it) => it.startsWith("broken")).length, 1, "one question")
  },

  "an answer is stopped on any device": async () => {
    await one.says("stopped [words=500] [pause=20]")
    await two.hears("stopped")
    await two.has("it", 60)
    await two.click("#stop")
    await one.isIn("it", "stopped")
    await two.isIn("it", "stopped")
    await eventually("the provider is let go", () => provider.asked().at(-1).isGone)
  },

  "the death of the runtime is seen, and what there was stays": async () => {
    await one.says("crashed [words=500] [pause=20]")
    await one.has("it", 200)
    await server("crash")
    await eventually("it says so", async () => (await one.seen("#connection")) === "Connecting again…")
    const [before] = await one.answer()
    base = await server("start", vars)
    await eventually("it is connected", async () => (await one.seen("#connection")) === "", 30_000)
    equal((await one.answer())[0].startsWith(before.slice(0, 100)), true, "what there was")
    await one.isIn("it", "failed", 40_000)
    await one.says("after the crash")
    await one.isIn("the next one", "done")
    await isWhole(one, 20)
    await two.hears("after the crash")
    await two.isIn("on the other device", "done", 30_000)
  },

  "a question that the server did not get is sent again": async () => {
    await server("stop")
    await one.says("nobody hears")
    await eventually("it says so", async () => (await one.seen("#unsent"))?.includes("cannot be reached"))
    base = await server("start", vars)
    await one.click("#unsent button")
    await eventually("it is sent", async () => (await one.seen("#unsent")) === null)
    await one.isIn("it", "done", 30_000)
    equal(calls("nobody hears"), 1, "calls")
  },

  "it is used with the keyboard, and each control has a name": async () => {
    equal(await first.ask("document.activeElement.id"), "question", "focus")
    await first.tab("Input.insertText", { text: "two" })
    await press(first.tab, "Enter", 8)
    await first.tab("Input.insertText", { text: "lines" })
    await press(first.tab, "Enter")
    await eventually("it is asked", async () => (await one.questions()).at(-1) === "two\nlines")
    await one.isIn("it", "done")
    const { nodes } = await first.tab("Accessibility.getFullAXTree")
    const controls = nodes.filter(({ role, ignored }) => !ignored && ["button", "textbox", "log", "link"].includes(role?.value))
    const names = controls.map(({ name }) => name?.value ?? "")
    for (const name of ["Your question", "Send", "Messages", "New chat", "Copy link"]) {
      equal(names.includes(name), true, `${name} in ${names}`)
    }
    equal(names.filter((name) => name === ""), [], "without a name")
  },

  "what a model writes is shown as it means it": async () => {
    await one.go(`${base}/`)
    await one.says("Explain append-only logs to a ten-year-old [prose] [pause=120]")
    await one.has("it", 250)
    await picture(first, "in-the-middle")
    await one.reload()
    await one.has("it", 250, 2000)
    await picture(first, "after-a-reload")
    await two.go(`${base}${await one.path()}`)
    await two.has("it", 250, 2000)
    await picture(second, "on-a-second-device")
    await one.isIn("it", "done")
    await picture(first, "done")
    const names = await first.ask(`[...document.querySelector(".answer .content").children].map(({ localName }) => localName)`)
    equal(names, ["p", "ol", "p", "pre", "p"], "elements")
    await one.says("And what if the writer dies? [words=40] [break=12]")
    await one.isIn("it", "failed")
    await picture(first, "broken-off")
  },

  "what a model says becomes no part of the page": async () => {
    equal(await first.ask(`import("/text.js").then(({ blocks, element }) => {
      const text = "# Head\\n<img src=x onerror=alert(1)>\\n\\n- one\\n- **two** \`<b>\`\\n\\n\`\`\`js\\nlet a = 1\\n\`\`\`\\nend"
      return element("div", {}, ...blocks(text)).innerHTML
    })`),
    '<h3>Head</h3><p>&lt;img src=x onerror=alert(1)&gt;</p><ul><li>one</li><li><strong>two</strong> <code>&lt;b&gt;</code></li></ul>' +
    '<pre tabindex="0" role="region" aria-label="Code in js"><code>let a = 1</code></pre><p>end</p>', "elements")
  },
}

await run(checks, report)
process.exit()
