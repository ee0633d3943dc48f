// The console, in Chromium, as somebody uses it: node console.mjs URL CHROMIUM PROFILE [PROJECT], where URL
// is where the page is, and PROJECT whose streams it shows at first, if the server has projects. Prints a
// line of JSON for each check.
import { run, sleep } from "./checks.mjs"
import { openPage, Streams } from "./console-page.mjs"
import { equal, eventually as within } from "./control.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))

const [url, chromium, profile, project = null] = process.argv.slice(2)
const below = project === null ? "" : `${project}/`
const streams = new Streams(url, project)
const page = await openPage(url, chromium, profile)
const { ask, has, key, press, shows, text, write } = page
await page.size(1280, 800, "light")

const stream = (path) => page.show(`#/stream/${below}${path}`)
const rows = () => page.all(".row:not([hidden]) .said")
const showsRows = (expected) =>
  eventually(`rows ${expected}`, async () => JSON.stringify(await rows()) === JSON.stringify(expected))
    .catch(async () => equal(await rows(), expected, "rows"))
const entries = ".entries .name"
const fact = (name) =>
  ask(`[...document.querySelectorAll(".facts dl > div")].find((it) => it.firstChild.textContent === ${JSON.stringify(name)})?.lastChild.firstChild.textContent`)
const isLive = () => has(".state", "Live")
const secrets = []
/** A machine that does much else takes its time. */
function eventually(what, isSo) {
  return within(what, isSo, 30_000)
}

const checks = {
  "streams are listed folder by folder, and by prefix": async () => {
    for (const path of ["orders", "chat/1", "chat/2", "chat/rooms/a"]) await streams.create(path, [{ path }])
    await streams.ask("PUT", "log", undefined, { "Content-Type": "text/plain" })
    await page.load(`#/streams/${below}`)
    await shows(entries, ["chat/", "log", "orders"])
    equal(await page.all(".entries .kind"), ["text", "JSON"], "kinds")
    await page.click(".entry.folder")
    await shows(entries, ["1", "2", "rooms/"])
    equal(await ask("location.hash"), `#/streams/${below}chat/`, "the address")
    await write("#prefix", "or")
    await shows(entries, ["orders"])
    await write("#prefix", "nothing")
    await has(".side .empty", "No stream begins with nothing")
    await ask("history.back()")
    await shows(entries, ["chat/", "log", "orders"])
  },

  "a long list comes page by page, and a large folder is one entry": async () => {
    const many = Array.from({ length: 220 }, (_, n) => `many/${String(n).padStart(4, "0")}`)
    for (let at = 0; at < many.length; at += 20) await Promise.all(many.slice(at, at + 20).map((path) => streams.create(path)))
    await streams.create("zebra")
    await page.show("#/requests/")
    await page.show(`#/streams/${below}`)
    await eventually("a page", async () => (await page.all(entries)).includes("many/"))
    await press("More", ".side")
    await shows(entries, ["chat/", "log", "many/", "orders", "zebra"])
    await page.show(`#/streams/${below}many/`)
    await eventually("200 of them", async () => (await page.count(entries)) === 200)
    await press("More", ".side")
    await eventually("all of them", async () => (await page.count(entries)) === 220)
  },

  "a stream shows what is known of it, and its messages": async () => {
    await streams.create("made", [{ n: 1 }, { n: 12345678901234567890n.toString() }], { "Stream-TTL": "7200" })
    await page.load(`#/stream/${below}made`)
    await showsRows(['{"n":1}', '{"n":"12345678901234567890"}'])
    await isLive()
    equal([await fact("Holds"), await fact("Type"), await fact("State")], ["2 messages", "application/json", "open"], "facts")
    equal((await fact("Lives")).startsWith("2 h after its last use"), true, "its life")
    equal(await page.all(".entry[aria-current] .name"), ["made"], "the entry in the list")
    equal(await ask("document.title"), "made · Streams console", "the title")
  },

  "what is appended appears, can be held back, filtered and looked at": async () => {
    await stream("orders")
    await isLive()
    await streams.append("orders", [{ id: 1, total: 5 }, { id: 2, total: 6 }])
    await has(".tail .figures", "3 messages")
    await press("Pause")
    await has(".state", "Paused")
    await streams.append("orders", [{ id: 3, total: 7 }])
    await sleep(500)
    await has(".tail .figures", "3 messages")
    await press("Resume")
    await has(".tail .figures", "4 messages")
    await write("#filter", "TOTAL\":6")
    await showsRows(['{"id":2,"total":6}'])
    await has(".tail .figures", "1 of 4 messages")
    await page.click(".row:not([hidden])")
    equal(await text(".whole pre"), '{\n  "id": 2,\n  "total": 6\n}', "the message, laid out")
    await write("#filter", "")
    await has(".tail .figures", "4 messages")
    await page.choose("#from", "now")
    await isLive()
    await has(".tail .figures", "0 messages")
    await page.choose("#from", "start")
    await has(".tail .figures", "4 messages")
  },

  "more messages than are kept go by, and it says how many": async () => {
    await streams.create("busy")
    await stream("busy")
    await isLive()
    for (let n = 0; n < 6; n += 1) {
      await streams.append("busy", Array.from({ length: 1000 }, (_, at) => ({ n: n * 1000 + at })))
    }
    await has(".tail .figures", "5,000 messages, 1,000 older dropped")
    equal((await rows()).at(-1), '{"n":5999}', "the newest, in sight")
    equal((await page.count(".row")) < 80, true, "rows on the page")
  },

  "bad JSON is refused with its line and column, and good JSON is sent": async () => {
    await streams.create("sent")
    await stream("sent")
    await isLive()
    const before = page.asked.length
    await write("#message", '{"a": 1,\n "b": tru}')
    await has("#checked", "Line 2, column 7: tru is no value")
    await press("Append")
    equal(await ask(`document.querySelector("#message").getAttribute("aria-invalid")`), "true", "it is marked")
    equal(await ask(`document.querySelector("#message").selectionStart`), 15, "where the cursor is")
    await write("#message", "[]")
    await press("Append")
    await has("#checked", "An array without messages")
    await sleep(300)
    equal(page.asked.slice(before).filter((one) => one.endsWith("/sent")), [], "what was sent")
    await write("#message", '{"a":1.10}')
    await has("#checked", "1 message")
    await press("Append")
    await showsRows(['{"a":1.10}'])
    await write("#message", '[{"b":1}, [2], "é"]')
    await has("#checked", "3 messages")
    await page.key("Enter", 2)
    await showsRows(['{"a":1.10}', '{"b":1}', "[2]", '"é"'])
    await write("#message", '"the last"')
    await page.click("#closes")
    await press("Append")
    await has(".state", "Closed")
    await has(".foot", "nothing can be appended")
    equal((await rows()).at(-1), '"the last"', "the last message")
    equal(await fact("State"), "closed", "its state")
  },

  "text is shown line by line, and bytes as digits": async () => {
    await streams.send("log", "text/plain", "first\nsec")
    await streams.send("log", "text/plain", "ond\n<b>third</b>\n")
    await stream("log")
    await showsRows(["first", "second", "<b>third</b>"])
    await write("#message", "fourth")
    await press("Append")
    await showsRows(["first", "second", "<b>third</b>", "fourth"])
    await streams.ask("PUT", "bytes", undefined, { "Content-Type": "application/octet-stream" })
    await stream("bytes")
    await isLive()
    await write("#message", "48 65 6c 6")
    await has("#checked", "A digit is missing")
    await write("#message", "48 65 6c 6c 6f 00")
    await has("#checked", "6 B")
    await press("Append")
    await showsRows(["48 65 6c 6c 6f 00  Hello."])
  },

  "streams are made, forked, closed and deleted": async () => {
    await page.show(`#/streams/${below}`)
    await press("New stream")
    await write("dialog [name=path]", "origin")
    await press("Create", "dialog")
    await eventually("it is open", async () => (await ask("location.hash")) === `#/stream/${below}origin`)
    await isLive()
    await streams.append("origin", [1, 2, 3])
    await showsRows(["1", "2", "3"])
    await eventually("it is noticed", async () => (await fact("Holds")) === "3 messages")
    await press("Fork")
    await write("dialog [name=path]", "branch")
    await write("dialog [name=at]", "2")
    await press("Fork", "dialog")
    await eventually("it is open", async () => (await ask("location.hash")) === `#/stream/${below}branch`)
    await showsRows(["1", "2"])
    await eventually("the tree", async () => (await page.count(".tree ul")) > 0)
    await has(".tree", "originfrom 2branch")
    equal(await page.all(".tree [aria-current]"), ["branch"], "what is marked")
    await press("origin", ".tree")
    await has(".tree", "branch")
    await press("Close the stream")
    await press("Close the stream", "dialog")
    await has(".state", "Closed")
    await stream("branch")
    await press("Delete the stream")
    await write("#typed", "origin")
    await press("Delete the stream", "dialog")
    await has("dialog .wrong", "is not branch")
    await write("#typed", "branch")
    await press("Delete the stream", "dialog")
    await eventually("it is gone", async () => !(await page.all(entries)).includes("branch"))
  },

  "a subscription says how far behind it is, with each stream": async () => {
    await streams.create("jobs/a")
    await streams.create("wakes")
    const config = { type: "pull-wake", pattern: "jobs/*", wake_stream: "wakes" }
    await streams.ask("PUT", "__ds/subscriptions/worker%3A1", JSON.stringify(config))
    await streams.append("jobs/a", [1, 2, 3])
    await eventually("it lags", async () => {
      const answer = await streams.ask("GET", "__ds/subscriptions/worker%3A1")
      return (await answer.json()).lag === 3
    })
    await page.show(`#/subscriptions/${below}`)
    await has("tbody tr td:nth-child(6)", "3")
    equal(await page.all("tbody tr > *"), ["worker:1", "pull-wake", "jobs/*", "waking", "1", "3", "none"], "the row")
    await press("worker:1", "tbody")
    await has("dl", "3 in 1 of 1 streams")
    await shows("tbody tr > *", ["jobs/a", "pattern", "0", "3", "3"])
    await press("Delete the subscription")
    await write("#typed", "worker:1")
    await press("Delete the subscription", "dialog")
    await has(".page", "No subscriptions")
  },

  ...(project !== null && {
    "a secret and a token are shown once, and nowhere after": async () => {
      await page.show(`#/projects/${below}`)
      await write("[name=name]", "made-here")
      await press("Create")
      await has(".once output", "")
      await eventually("the secret", async () => (await text(".once output")).length > 20)
      secrets.push(await text(".once output"))
      await eventually("the project", async () => (await page.all("tbody th")).includes("made-here"))
      await page.choose("[name=project]", "made-here")
      await press("Make a token")
      await eventually("the token", async () => (await page.all(".once output")).some((one) => one.startsWith("ey")))
      secrets.push((await page.all(".once output")).find((one) => one.startsWith("ey")))
      await page.show(`#/requests/${below}`)
      await has("h1", "Requests")
      await ask("history.back()")
      await has("h1", "Projects")
      const all = await ask("document.documentElement.outerHTML + JSON.stringify({ ...localStorage, ...sessionStorage })")
      equal(secrets.filter((one) => all.includes(one)), [], "secrets on the page")
      await page.show("#/streams/made-here/")
      await has(".side .empty", "No streams yet")
      await page.show(`#/projects/${below}`)
      await press("Delete made-here")
      await write("#typed", "made-here")
      await press("Delete the project", "dialog")
      await eventually("it is gone", async () => !(await page.all("tbody th")).includes("made-here"))
    },
  }),

  "each request says what it cost": async () => {
    await stream("orders")
    await isLive()
    await write("#message", "{}")
    await press("Append")
    await has("#last", "1 row written")
    await page.show(`#/requests/${below}`)
    const row = await ask(`[...document.querySelectorAll("tbody tr")].find((it) => it.textContent.includes("POST"))?.textContent`)
    equal(row.includes("/v1/stream/") && row.includes("20"), true, row)
  },

  "the keyboard is enough": async () => {
    await page.load(`#/streams/${below}`)
    await eventually("the list", async () => (await page.all(entries)).includes("chat/"))
    await key("/")
    equal(await page.focus(), "Streams whose path begins with", "the search")
    await page.tab("Input.insertText", { text: "orders" })
    await shows(entries, ["orders"])
    await key("ArrowDown")
    await key("Enter")
    await isLive()
    equal(await ask("document.activeElement.tagName"), "H1", "the focus")
    await key("m")
    await page.tab("Input.insertText", { text: '{"by":"keyboard"}' })
    await key("Enter", 2)
    await eventually("it is there", async () => (await rows()).at(-1) === '{"by":"keyboard"}')
    await key("Escape")
    await key("f")
    equal(await page.focus(), "Filter messages", "the filter")
    await page.tab("Input.insertText", { text: "keyboard" })
    await key("ArrowDown")
    await key("Home")
    await has(".whole pre", '"by": "keyboard"')
    await key("Escape")
    equal(await ask(`document.querySelector(".whole").hidden`), true, "the message")
    await key("p")
    await has(".state", "Paused")
    await key("?")
    await has("dialog h2", "Keyboard")
    await key("Escape")
    await eventually("it is closed", async () => (await page.count("dialog")) === 0)
    await key("u")
    await has("h1", "Subscriptions")
    await key("r")
    await has("h1", "Requests")
    await stream("orders")
    await isLive()
    await everyControlIsReached()
  },

  "it is whole at 360 pixels, in the light and in the dark, and each control has a name": async () => {
    const views = [`#/streams/${below}`, `#/stream/${below}orders`, `#/stream/${below}bytes`, `#/subscriptions/${below}`, `#/projects/${below}`, `#/requests/${below}`]
    for (const [width, scheme] of [[1280, "dark"], [360, "light"], [360, "dark"]]) {
      await page.size(width, 740, scheme)
      for (const view of views) {
        await page.show(view)
        await sleep(400)
        const wide = await ask(`[...document.querySelectorAll("body *")].filter((it) => !it.closest(".row, .last, .unseen, .skip") && it.checkVisibility() && it.getBoundingClientRect().right > innerWidth + 1).map((it) => it.className || it.tagName)`)
        equal([await ask("document.documentElement.scrollWidth"), wide], [width, []], `${view} at ${width}`)
        await everyControlHasAName(view)
      }
    }
    await stream("orders")
    await isLive()
    await write("#message", "{")
    await has("#checked", "Line 1, column 2")
    await press("‹ Streams")
    await eventually("the list", () => ask(`document.querySelector(".side").checkVisibility()`))
    await page.size(1280, 800, "light")
  },

  "nobody else was asked, no address had a secret in it, and nothing went wrong": async () => {
    const origin = new URL(url).origin
    equal(page.asked.filter((one) => !one.startsWith(origin) && one !== "about:blank"), [], "others")
    const isTelling = (one) => one.includes("ey") && /ey[\w-]{8,}\./.test(one) || secrets.some((secret) => one.includes(secret)) || /token=|authorization/i.test(one)
    equal(page.asked.filter(isTelling), [], "addresses")
    // Whoever follows a stream that is deleted asks for it once more.
    const isOfDeleted = (one) => one.includes("404") && one.includes("/branch")
    equal(page.wrong.filter((one) => !isOfDeleted(one)), [], "what went wrong")
  },
}

/** Each control that can be seen gets the focus by Tab, and shows it. */
async function everyControlIsReached() {
  await ask(`{
    window.reached = new Set()
    window.unseen = []
    window.controls = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
      .filter((it) => it.checkVisibility() && !it.disabled && !it.closest(".skip"))
    document.activeElement.blur()
    document.addEventListener("focusin", ({ target }) => {
      window.reached.add(target)
      if (getComputedStyle(target).outlineStyle === "none" && target.tabIndex >= 0) window.unseen.push(target.outerHTML.slice(0, 100))
    })
  }`)
  const most = (await ask("controls().length")) + 10
  for (let at = 0; at < most; at += 1) await key("Tab")
  equal(await ask("controls().filter((it) => !reached.has(it)).map((it) => it.outerHTML.slice(0, 100))"), [], "never reached")
  equal(await ask("unseen"), [], "without a sign of the focus")
}

/** As a screen reader sees it. */
async function everyControlHasAName(where) {
  const { nodes } = await page.tab("Accessibility.getFullAXTree")
  const roles = ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "spinbutton", "listbox", "image", "table", "dialog", "form", "region"]
  const seen = nodes.filter(({ ignored, role }) => !ignored && roles.includes(role?.value))
  equal(seen.length > 5, true, `controls of ${where}`)
  const nameless = seen.filter(({ name }) => !name?.value).map(({ role }) => role.value)
  equal(nameless, [], `without a name on ${where}`)
  const landmarks = nodes.map(({ role }) => role?.value)
  for (const role of ["main", "banner", "navigation", "contentinfo"]) equal(landmarks.includes(role), true, `${role} on ${where}`)
  equal(await page.count("h1"), 1, `headings of ${where}`)
}

await run(checks, (result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`)
})
process.exit()
