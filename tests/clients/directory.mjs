// The lists of streams and of subscriptions below a root.
import { numbers } from "./checks.mjs"
import { Root, equal, eventually, expect, fresh } from "./control.mjs"

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  /** All pages of a list. */
  const all = async (list, query, nameOf) => {
    const pages = []
    for (let after = ""; ; ) {
      const { json } = expect(await root.ask("GET", `__ds/${list}?${query}${after}`), 200)
      pages.push(json[list].map(nameOf))
      if (json.next === null) return pages
      after = `&after=${encodeURIComponent(json.next)}`
    }
  }
  const paths = (query) => all("streams", query, ({ path }) => path)
  /** Waits until the streams of a prefix are these: they are registered after they are created. */
  const listed = (prefix, expected) =>
    eventually(`${expected.length} streams of ${prefix}`, async () => {
      const seen = (await paths(`prefix=${encodeURIComponent(prefix)}&limit=1000`)).flat()
      return JSON.stringify(seen) === JSON.stringify(expected)
    })

  return {
    "streams are listed with what they are": async () => {
      const place = fresh("listed")
      const before = Date.now()
      await root.create(`${place}/json`)
      const bytes = { "Content-Type": "text/plain" }
      expect(await root.ask("PUT", `${place}/text`, "x", bytes), 201)
      await listed(`${place}/`, [`${place}/json`, `${place}/text`])
      const { json } = expect(await root.ask("GET", `__ds/streams?prefix=${place}/`), 200)
      const types = json.streams.map(({ content_type }) => content_type)
      equal(types, ["application/json", "text/plain"], "types")
      for (const { created_at, ...rest } of json.streams) {
        equal(Object.keys(rest).toSorted(), ["content_type", "path"], "fields")
        const at = new Date(created_at).getTime()
        equal(at >= before - 1000 && at <= Date.now() + 1000, true, created_at)
      }
      equal(json.next, null, "next")
    },

    "a prefix is of bytes, and the order, too": async () => {
      const place = fresh("listed")
      const names = ["a", "a/b", "a-b", "a.b", "ab", "B", "é", "z"]
      await Promise.all(names.map((name) => root.create(`${place}/${name}`)))
      const inOrder = (some) =>
        some
          .map((name) => `${place}/${name}`)
          .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      await listed(`${place}/`, inOrder(names))
      await listed(`${place}/a`, inOrder(["a", "a/b", "a-b", "a.b", "ab"]))
      await listed(`${place}/a/`, inOrder(["a/b"]))
      await listed(`${place}/é`, inOrder(["é"]))
      await listed(`${place}/nothing`, [])
    },

    "pages have each stream once, whatever their length": async () => {
      const place = fresh("listed")
      const expected = numbers(0, 60).map((n) => `${place}/${String(n).padStart(3, "0")}`)
      await Promise.all(expected.map((path) => root.create(path)))
      await listed(`${place}/`, expected)
      for (const limit of [1, 7, 59, 60, 61]) {
        const pages = await paths(`prefix=${place}/&limit=${limit}`)
        equal(pages.flat(), expected, `pages of ${limit}`)
        equal(pages[0].length, Math.min(limit, 60), `the first page of ${limit}`)
      }
      // Where to go on need not be a stream that there is.
      const after = encodeURIComponent(`${place}/0300`)
      const { json } = expect(await root.ask("GET", `__ds/streams?prefix=${place}/&after=${after}`), 200)
      equal(json.streams[0].path, `${place}/031`, "the next one")
    },

    "what is deleted is listed no more, and what takes its name is": async () => {
      const place = fresh("listed")
      const [a, b] = [`${place}/a`, `${place}/b`]
      await root.create(a)
      await root.create(b)
      await listed(`${place}/`, [a, b])
      for (const round of numbers(0, 3)) {
        expect(await root.ask("DELETE", a), 204)
        if (round === 1) await listed(`${place}/`, [b])
        await root.create(a)
        await listed(`${place}/`, [a, b])
      }
      expect(await root.ask("DELETE", a), 204)
      await listed(`${place}/`, [b])
    },

    "subscriptions are listed in pages": async () => {
      const place = fresh("listed")
      const ids = numbers(0, 12).map((n) => `${place}:${String(n).padStart(2, "0")} x`)
      for (const id of ids) {
        await root.subscribe({ type: "pull-wake", streams: ["a"], wake_stream: "b" }, id)
      }
      for (const limit of [5, 1000]) {
        const pages = await all("subscriptions", `limit=${limit}`, ({ id }) => id)
        const seen = pages.flat()
        equal(seen.filter((id) => id.startsWith(place)), ids, `pages of ${limit}`)
        equal(new Set(seen).size, seen.length, "each once")
      }
      for (const id of ids) expect(await root.subscription(id).delete(), 204)
      await eventually("they are not listed any more", async () => {
        const seen = (await all("subscriptions", "limit=1000", ({ id }) => id)).flat()
        return seen.every((id) => !id.startsWith(place))
      })
    },
  }
}
