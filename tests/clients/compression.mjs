// A page's server in Express that compresses what it answers, and hands events on from ours.
import { stream } from "@durable-streams/client"
import compression from "compression"
import express from "express"
import { once } from "node:events"
import { Readable } from "node:stream"
import { equal, freshUrls, numbers } from "./checks.mjs"

const JSON_TYPE = { "Content-Type": "application/json" }

/** What is said of the bytes on their way here, which `fetch` has undone. */
const OF_ONE_HOP = ["content-length", "content-encoding", "transfer-encoding", "connection"]

/** A proxy that does what `app.use(compression())` before a handler does. */
async function proxyTo(server) {
  const app = express()
  app.use(compression())
  app.use(async ({ originalUrl }, response) => {
    const aborter = new AbortController()
    response.on("close", () => aborter.abort())
    const answer = await fetch(server + originalUrl, { signal: aborter.signal })
    response.status(answer.status)
    for (const [name, value] of answer.headers) {
      if (!OF_ONE_HOP.includes(name)) response.set(name, value)
    }
    Readable.fromWeb(answer.body).on("error", () => response.end()).pipe(response)
  })
  const listening = app.listen(0, "127.0.0.1")
  await once(listening, "listening")
  return `http://127.0.0.1:${listening.address().port}`
}

/** The checks, for streams at `server`. */
export async function checks(server) {
  const fresh = freshUrls(server, "compression")
  const proxy = await proxyTo(server)
  return {
    "events come through at once, one by one": async () => {
      const url = fresh()
      await fetch(url, { method: "PUT", headers: JSON_TYPE })
      const res = await stream({ url: url.replace(server, proxy), live: "sse", json: true })
      let heard
      res.subscribeJson(({ items }) => items.forEach((item) => heard(item)))
      for (const n of numbers(0, 10)) {
        // Each waits for the one before: an event that is held back ends the check.
        const next = new Promise((resolve) => (heard = resolve))
        await fetch(url, { method: "POST", headers: JSON_TYPE, body: `${n}` })
        equal(await next, n, "message")
      }
      res.cancel()
    },

    "what is no stream of events is compressed": async () => {
      const url = fresh()
      const body = JSON.stringify(numbers(0, 2000))
      await fetch(url, { method: "PUT", headers: JSON_TYPE, body })
      const answer = await fetch(url.replace(server, proxy))
      equal(answer.headers.get("content-encoding") !== null, true, "encoding")
      equal(await answer.json(), numbers(0, 2000), "messages")
    },
  }
}
