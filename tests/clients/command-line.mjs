// What the command line `durable-stream` does, which finds the server in STREAM_URL and what it says
// of itself in STREAM_AUTH.
import { DurableStream } from "@durable-streams/client"
import { equal, numbers } from "./checks.mjs"

const { STREAM_URL, STREAM_AUTH } = process.env
const headers = { Authorization: STREAM_AUTH }

/** The checks, for the server of the environment. */
export function checks() {
  let count = 0
  const url = () => `${STREAM_URL}/account.1/chat:1/_${count++}`

  /** Follows a stream as `read` does, until `length` bytes have come. */
  const follow = async (of, length) => {
    const res = await new DurableStream({ url: of, headers }).stream({ live: true })
    // It is not meant to end, and takes that for a failure.
    res.closed.catch(() => {})
    const chunks = []
    let seen = 0
    for await (const chunk of res.bodyStream()) {
      chunks.push(chunk)
      seen += chunk.length
      if (seen >= length) break
    }
    return Buffer.concat(chunks).toString()
  }

  return {
    "creates, writes, follows, and deletes bytes": async () => {
      const of = url()
      await DurableStream.create({ url: of, headers, contentType: "application/octet-stream" })
      const handle = new DurableStream({ url: of, headers, contentType: "application/octet-stream" })
      await handle.append("first\n")
      const text = "first\nßecond\n"
      const reading = follow(of, Buffer.byteLength(text))
      await handle.append(Buffer.from("ßecond\n"))
      equal(await reading, text, "bytes")
      await new DurableStream({ url: of, headers }).delete()
      const gone = await follow(of, 1).catch((error) => error)
      equal(gone.status, 404, `${gone}`)
    },

    "is refused without STREAM_AUTH": async () => {
      const contentType = "application/octet-stream"
      const refused = await DurableStream.create({ url: url(), contentType }).catch((error) => error)
      equal(refused.status, 401, `${refused}`)
    },

    "writes JSON, as one message or as one for each element": async () => {
      const of = url()
      await DurableStream.create({ url: of, headers, contentType: "application/json" })
      const handle = new DurableStream({ url: of, headers, contentType: "application/json" })
      await handle.append(JSON.stringify([1, [2]]))
      for (const n of numbers(0, 3)) await handle.append(JSON.stringify({ n }))
      const text = await follow(of, 10)
      equal(JSON.parse(text), [[1, [2]], { n: 0 }, { n: 1 }, { n: 2 }], "messages")
    },
  }
}
