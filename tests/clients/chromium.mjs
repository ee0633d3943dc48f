// A tab of Chromium, told what to do over two pipes.
import { spawn } from "node:child_process"
import { eventually } from "./control.mjs"

/** A browser of nobody, that talks of nothing to anybody and is told what to do over two pipes. */
export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-pipe",
]

/** Opens a browser with one empty tab. PROFILE is an empty folder. */
export async function open(chromium, profile) {
  // It ends when this program does, which holds the other ends of two pipes.
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  })
  browser.on("exit", (code) => {
    console.error(`Chromium ended with ${code}`)
    process.exit(1)
  })
  const [, , , commands, answers] = browser.stdio
  const waiting = new Map()
  const listeners = new Map()
  let rest = ""
  answers.setEncoding("utf8").on("data", (text) => {
    const messages = (rest + text).split("\0")
    rest = messages.pop()
    for (const { id, result, error, method, params } of messages.map((message) => JSON.parse(message))) {
      listeners.get(method)?.(params)
      const [resolve, reject] = waiting.get(id) ?? []
      waiting.delete(id)
      if (error) reject?.(new Error(error.message))
      else resolve?.(result)
    }
  })
  let count = 0
  const tell = (method, params = {}, sessionId) => {
    const id = ++count
    commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return new Promise((...both) => waiting.set(id, both))
  }
  /** A tab, told what to do. */
  const tabOf = async (targetId) => {
    const { sessionId } = await tell("Target.attachToTarget", { targetId, flatten: true })
    const tab = (method, params) => tell(method, params, sessionId)
    await tab("Page.enable")
    /** What an expression comes to on the page. */
    const ask = async (expression) => {
      const asked = { expression, awaitPromise: true, returnByValue: true }
      const { result, exceptionDetails } = await tab("Runtime.evaluate", asked)
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression)
      return result.value
    }
    /** Leaves the page for another one, and waits until that is there. */
    const go = async (url) => {
      await tab("Page.navigate", { url })
      const isThere = `location.href === ${JSON.stringify(url)} && document.readyState === "complete"`
      // While one page gives way to another one, neither answers.
      await eventually(`${url} is there`, () => ask(isThere).catch(() => false), 30_000)
    }
    return { tab, ask, go }
  }
  /** A tab of somebody else, who shares nothing with the others. */
  const another = async () => {
    const { browserContextId } = await tell("Target.createBrowserContext")
    const { targetId } = await tell("Target.createTarget", { url: "about:blank", browserContextId })
    return tabOf(targetId)
  }
  const { targetInfos } = await tell("Target.getTargets")
  const { targetId } = targetInfos.find(({ type }) => type === "page")
  /** Calls what is given with each event of this name from now on. */
  const on = (method, listener) => listeners.set(method, listener)
  return { ...(await tabOf(targetId)), another, on }
}
