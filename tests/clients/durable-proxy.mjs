// The requests of @durable-streams/proxy 0.1.6, which keeps what an AI service answers, byte for
// byte, in a stream of its own, and hands it on to clients that come back.
import { createHash, randomUUID } from "node:crypto"
import { equal, numbers, sleep } from "./checks.mjs"

const BYTES = { "Content-Type": "application/octet-stream" }

/** What an AI service says: events in pieces that end anywhere, in the middle of characters, too. */
const EVENTS = numbers(0, 400)
  .map((n) => `data: {"choices":[{"delta":{"content":"${n} ß€😀\\n"}}]}\n\n`)
  .join("")
  .concat("data: [DONE]\n\n")
const BODY = new TextEncoder().encode(EVENTS)
const PIECE = 997

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex")

/** The checks, for streams at `server`. */
export function checks(server) {
  const create = async () => {
    const url = `${server}/v1/streams/${randomUUID()}`
    const headers = { ...BYTES, "Stream-TTL": "86400" }
    const answer = await fetch(url, { method: "PUT", headers })
    equal(answer.status, 201, "created")
    return url
  }

  const pipe = async (url, pause) => {
    for (let start = 0; start < BODY.length; start += PIECE) {
      const body = BODY.subarray(start, start + PIECE)
      const answer = await fetch(url, { method: "POST", headers: BYTES, body })
      equal(answer.ok, true, "appended")
      await sleep(pause)
    }
    // It says nothing of a type here, and sends an empty body.
    const headers = { "Stream-Closed": "true", "Content-Length": "0" }
    equal((await fetch(url, { method: "POST", headers })).ok, true, "closed")
  }

  /** Reads as the proxy does, which hands on no more than these headers and the body. */
  const read = async (url, query) => {
    const answer = await fetch(`${url}?${new URLSearchParams(query)}`, { headers: { Accept: "*/*" } })
    const body = new Uint8Array(await answer.arrayBuffer())
    const header = (name) => answer.headers.get(name)
    return {
      body,
      status: answer.status,
      offset: header("stream-next-offset"),
      upToDate: header("stream-up-to-date"),
      closed: header("stream-closed"),
    }
  }

  return {
    "an answer is kept byte for byte below /v1/streams, and closed": async () => {
      const url = await create()
      await pipe(url, 0)
      const seen = await read(url, { offset: "-1" })
      equal(digest(seen.body), digest(BODY), "bytes")
      equal([seen.upToDate, seen.closed], ["true", "true"], "end")
      const head = await fetch(url, { method: "HEAD" })
      equal(head.headers.get("stream-next-offset"), seen.offset, "offset")
      equal(head.headers.get("content-type"), "application/octet-stream", "type")
      // Another path to the same stream.
      const other = await read(url.replace("/v1/streams/", "/v1/stream/"), {})
      equal(digest(other.body), digest(BODY), "bytes at the other path")
    },

    "a client that follows by long-poll has it while it comes": async () => {
      const url = await create()
      const piping = pipe(url, 5)
      const parts = []
      let [offset, closed] = ["-1"]
      while (closed !== "true") {
        const seen = await read(url, { offset, live: "long-poll" })
        equal(seen.status === 200 || seen.status === 204, true, `${seen.status} is an answer`)
        parts.push(seen.body)
        ;({ offset, closed } = seen)
      }
      await piping
      equal(parts.length > 3, true, `${parts.length} answers are several`)
      equal(digest(Buffer.concat(parts)), digest(BODY), "bytes")
    },

    "what was deleted is gone, and may be deleted once more": async () => {
      const url = await create()
      equal((await fetch(url, { method: "DELETE" })).ok, true, "deleted")
      equal((await fetch(url, { method: "HEAD" })).status, 404, "gone")
      equal((await fetch(url, { method: "DELETE" })).status, 404, "once more")
    },
  }
}
