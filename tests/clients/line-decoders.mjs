// Decoders of events that know less than the whole of it: that of the openai package, which takes each
// event for JSON, and the few lines that many programs have instead of a decoder.
import { Stream } from "openai/streaming"
import { equal, freshUrls } from "./checks.mjs"
import { lines } from "./lines.mjs"

const JSON_TYPE = { "Content-Type": "application/json" }
const MESSAGES = [1, [2], { text: "ß€😀\r\n\u2028 data: x" }, "event: control\n\n", null]

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "line-decoders")

  /** A closed stream of batches of several messages, as events. */
  const open = async () => {
    const url = fresh()
    await fetch(url, { method: "PUT", headers: JSON_TYPE, body: JSON.stringify(MESSAGES) })
    // As people write JSON by hand.
    const body = JSON.stringify(MESSAGES, null, 2)
    await fetch(url, { method: "POST", headers: JSON_TYPE, body })
    await fetch(url, { method: "POST", headers: { "Stream-Closed": "true" } })
    return fetch(`${url}?offset=-1&live=sse`)
  }

  return {
    "the openai package's decoder has each event as JSON": async () => {
      const aborter = new AbortController()
      const seen = []
      for await (const event of Stream.fromSSEResponse(await open(), aborter)) seen.push(event)
      const messages = seen.filter(Array.isArray).flat()
      equal(messages, [...MESSAGES, ...MESSAGES], "messages")
      const controls = seen.filter((event) => !Array.isArray(event))
      equal(controls.at(-1).streamClosed, true, "the last of the others")
    },

    "a line that starts with `data: ` is JSON, and nothing else is": async () => {
      const answer = await open()
      const seen = []
      for await (const line of lines(answer.body)) {
        if (line.startsWith("data: ")) seen.push(JSON.parse(line.slice(6)))
        // Control events have no space there, as the official suite wants it: they are passed over.
        else equal(/^(|event: .*|id: .*|retry: .*|data:\{.*|:.*)$/.test(line), true, `the line ${line}`)
      }
      equal(seen.filter(Array.isArray).flat(), [...MESSAGES, ...MESSAGES], "messages")
    },
  }
}
