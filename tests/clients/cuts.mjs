// What the official client makes of connections that are cut in the middle.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { equal, freshUrls, numbers, sleep } from "./checks.mjs"
import { proxyTo } from "./proxy.mjs"

const JSON_TYPE = "application/json"
const CUTS = 12

/** The checks, for streams at `server`. */
export async function checks(server) {
  const fresh = freshUrls(server, "cuts")

  /**
   * Reads through a proxy that cuts, and starts again at the offset of the last batch whenever the
   * client gives up, which it does when an answer breaks off.
   */
  const follow = async (live) => {
    const proxy = await proxyTo(server)
    const handle = await DurableStream.create({ url: fresh(), contentType: JSON_TYPE })
    const total = CUTS * 6
    const seen = []
    let [offset, sessions] = ["-1", 0]
    const read = async () => {
      while (seen.length < total) {
        sessions += 1
        const url = handle.url.replace(server, proxy.url)
        const res = await stream({ url, offset, live })
        res.subscribeJson((batch) => {
          seen.push(...batch.items)
          offset = batch.offset
          if (seen.length >= total) res.cancel()
        })
        await res.closed.catch(() => {})
      }
    }
    const reading = read()
    for (const n of numbers(0, total)) {
      const cut = n % 6 === 5 ? proxy.cut() : undefined
      await handle.append(JSON.stringify(n))
      await (cut ?? sleep(10))
    }
    await reading
    equal(seen, numbers(0, total), "messages")
    equal(proxy.cuts, CUTS, "cuts")
    return sessions
  }

  return {
    "a reader by SSE that is cut off resumes with nothing lost or doubled": async () => {
      const sessions = await follow("sse")
      equal(sessions > 1, true, `${sessions} sessions are several`)
    },

    "a reader by long-poll that is cut off goes on with nothing lost or doubled": () =>
      follow("long-poll"),

    "a reader with live: true that is cut off goes on with nothing lost or doubled": () =>
      follow(true),

    "a producer whose answers are cut off writes each message once": async () => {
      const proxy = await proxyTo(server)
      const url = fresh()
      await DurableStream.create({ url, contentType: JSON_TYPE })
      const handle = new DurableStream({
        url: url.replace(server, proxy.url),
        contentType: JSON_TYPE,
      })
      let retries = 0
      const producer = new IdempotentProducer(handle, "writer", {
        maxBatchBytes: 100,
        // The producer leaves it to its caller to send again what got no answer.
        fetch: async (...request) => {
          for (;;) {
            try {
              return await fetch(...request)
            } catch {
              retries += 1
            }
          }
        },
      })
      for (const n of numbers(0, CUTS)) {
        const cut = proxy.cut()
        for (const m of numbers(n * 100, n * 100 + 100)) producer.append(JSON.stringify(m))
        await producer.flush()
        await cut
      }
      equal(retries > 0, true, `${retries} retries`)
      const res = await stream({ url, live: false })
      equal(await res.json(), numbers(0, CUTS * 100), "messages")
    },
  }
}
