// What Electric's agents ask of a server: streams of one root, the literal of the beginning, offsets
// of one width, and forks whose origin is named by the path of its URL.
import { DurableStream, stream } from "@durable-streams/client"
import { equal, freshUrls, numbers } from "./checks.mjs"

const JSON_TYPE = "application/json"
const ZERO = "0000000000000000_0000000000000000"

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "agents")
  const readAll = async (url, offset) => (await stream({ url, offset, live: false })).json()
  const create = async (count) => {
    const handle = await DurableStream.create({ url: fresh(), contentType: JSON_TYPE })
    for (const n of numbers(0, count)) await handle.append(`${n}`)
    return handle
  }
  const fork = (origin, headers = {}) =>
    fetch(fresh(), { method: "PUT", headers: { "Stream-Forked-From": origin, ...headers } })

  return {
    "the literal of the beginning is one, by any way to read": async () => {
      const { url } = await create(5)
      equal(await readAll(url, ZERO), numbers(0, 5), "once")
      for (const live of ["long-poll", "sse"]) {
        const res = await stream({ url, offset: ZERO, live, json: true })
        const seen = []
        for await (const item of res.jsonStream()) if (seen.push(item) === 5) break
        equal(seen, numbers(0, 5), live)
        res.cancel()
      }
    },

    "offsets are of one width, and sorted as text as they are minted": async () => {
      const handle = await create(0)
      const offsets = [(await handle.head()).offset]
      for (const n of numbers(0, 25)) {
        await handle.append(JSON.stringify("x".repeat(n * 400)))
        offsets.push((await handle.head()).offset)
      }
      equal(new Set(offsets.map(({ length }) => length)).size, 1, `widths of ${offsets[0]}`)
      equal(offsets.toSorted(), offsets, "order")
      equal(new Set(offsets).size, offsets.length, "different ones")
    },

    "a fork is named by the path of its origin's URL": async () => {
      const { url } = await create(5)
      const answer = await fork(new URL(url).pathname)
      equal(answer.status, 201, "created")
      equal(await readAll(answer.url), numbers(0, 5), "messages")
    },

    "a fork at an offset has what was there, and goes its own way": async () => {
      const origin = await create(3)
      const { offset } = await origin.head()
      await origin.append("3")
      const answer = await fork(new URL(origin.url).pathname, { "Stream-Fork-Offset": offset })
      equal(answer.status, 201, "created")
      const forked = new DurableStream({ url: answer.url, contentType: JSON_TYPE })
      await forked.append("30")
      equal(await readAll(answer.url), [0, 1, 2, 30], "the fork")
      equal(await readAll(origin.url), [0, 1, 2, 3], "its origin")
      const empty = await fork(new URL(origin.url).pathname, { "Stream-Fork-Offset": ZERO })
      equal(await readAll(empty.url), [], "a fork at the beginning")
    },
  }
}
