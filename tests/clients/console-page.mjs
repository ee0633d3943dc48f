// The console's page in Chromium, and what somebody does on it; and streams behind the console's back, which
// go through it too, as it is what has tokens.
import { open } from "./chromium.mjs"
import { equal, eventually } from "./control.mjs"

const KEYS = { Enter: [13, "\r"], Escape: [27], Tab: [9], ArrowDown: [40], ArrowUp: [38], Home: [36], End: [35], " ": [32, " "] }

/** Streams below a root of the server that the console at a URL shows. */
export class Streams {
  constructor(url, project) {
    this.base = `${url.replace(/\/$/, "")}/v1/stream/${project === null ? "" : `${project}/`}`
  }

  async ask(method, path, body, headers = {}) {
    const sent = { "X-Console": "1", Connection: "close", ...headers }
    let answer = await fetch(this.base + path, { method, headers: sent, body })
    // workerd ends idle connections, perhaps just as one is used again. To create may be repeated.
    for (let times = 0; method === "PUT" && answer.status === 502 && times < 5; times += 1) {
      answer = await fetch(this.base + path, { method, headers: sent, body })
    }
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return answer
  }

  create(path, messages = [], headers = {}) {
    const body = messages.length > 0 ? JSON.stringify(messages) : undefined
    return this.ask("PUT", path, body, { "Content-Type": "application/json", ...headers })
  }

  append(path, messages) {
    return this.ask("POST", path, JSON.stringify(messages), { "Content-Type": "application/json" })
  }

  send(path, type, body) {
    return this.ask("POST", path, body, { "Content-Type": type })
  }

  async messages(path) {
    return (await this.ask("GET", `${path}?offset=-1`)).json()
  }
}

/** Opens the page. What it asks for and what goes wrong in it is taken down. */
export async function openPage(url, chromium, profile) {
  const { tab, ask, go, on } = await open(chromium, profile)
  const asked = []
  const wrong = []
  on("Network.requestWillBeSent", ({ request }) => asked.push(request.url))
  on("Runtime.exceptionThrown", ({ exceptionDetails: it }) => wrong.push(it.exception?.description ?? it.text))
  on("Runtime.consoleAPICalled", ({ type, args }) => wrong.push(`${type}: ${args.map(({ value }) => value)}`))
  on("Log.entryAdded", ({ entry }) => ["error", "warning"].includes(entry.level) && wrong.push(`${entry.text} ${entry.url ?? ""}`))
  for (const domain of ["Network", "Runtime", "Log"]) await tab(`${domain}.enable`)

  const quoted = (value) => JSON.stringify(value)
  const one = (selector) => `document.querySelector(${quoted(selector)})`
  const page = {
    tab,
    ask,
    asked,
    wrong,
    /** Goes to a view by its address, as a link does; the first time the page is loaded. */
    async show(hash) {
      const isThere = await ask("location.href").then((href) => href.startsWith(url))
      if (isThere) await ask(`void (location.hash = ${quoted(hash)})`)
      else await go(`${url}${hash}`)
    },
    load: (hash) => go("about:blank").then(() => go(`${url}${hash}`)),
    text: (selector) => ask(`${one(selector)}?.textContent ?? ""`),
    count: (selector) => ask(`document.querySelectorAll(${quoted(selector)}).length`),
    all: (selector) => ask(`[...document.querySelectorAll(${quoted(selector)})].map((it) => it.textContent)`),
    has: (selector, text) =>
      eventually(`${selector} has ${text}`, async () => (await page.text(selector)).includes(text), 20_000)
        .catch(async (error) => {
          throw new Error(`${error.message}, but ${quoted((await page.text(selector)).slice(0, 300))}`)
        }),
    shows: (selector, texts) =>
      eventually(`${selector} shows ${texts}`, async () => quoted(await page.all(selector)) === quoted(texts), 20_000)
        .catch(async () => equal(await page.all(selector), texts, selector)),
    async click(selector) {
      await eventually(`${selector} is there`, () => ask(`Boolean(${one(selector)} && !${one(selector)}.disabled)`))
      await ask(`${one(selector)}.click()`)
    },
    /** Clicks the button or link with this text, or with this name. */
    async press(name, within = "body") {
      const found = `[...document.querySelectorAll(${quoted(`${within} button, ${within} a`)})].find((it) =>
        (it.getAttribute("aria-label") ?? it.textContent) === ${quoted(name)} && it.checkVisibility() && !it.disabled)`
      await eventually(`a button ${name}`, () => ask(`Boolean(${found})`))
      await ask(`${found}.click()`)
    },
    /** Writes into a field, in the place of what is there. */
    async write(selector, text) {
      await eventually(`${selector} is there`, () => ask(`Boolean(${one(selector)})`))
      await ask(`${one(selector)}.focus(); ${one(selector)}.select?.()`)
      if (text === "") await page.key("Delete")
      else await tab("Input.insertText", { text })
    },
    choose: (selector, value) =>
      ask(`{ const it = ${one(selector)}; it.value = ${quoted(value)}; it.dispatchEvent(new Event("change", { bubbles: true })) }`),
    /** Presses a key, as on a keyboard. */
    async key(key, modifiers = 0) {
      const [code, text] = KEYS[key] ?? [key.toUpperCase().charCodeAt(0), key.length === 1 ? key : undefined]
      const how = { key, windowsVirtualKeyCode: code, modifiers, ...(text && modifiers === 0 && { text }) }
      await tab("Input.dispatchKeyEvent", { type: "keyDown", ...how })
      await tab("Input.dispatchKeyEvent", { type: "keyUp", ...how })
    },
    /** What has the focus, by its name. */
    focus: () => ask(`{ const it = document.activeElement; it.getAttribute("aria-label") ?? it.labels?.[0]?.textContent ?? it.textContent }`),
    async size(width, height, scheme) {
      await tab("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 })
      await tab("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] })
    },
  }
  return page
}
