// What comes of copies when their sources and targets are closed, end, and come again.
import { sleep } from "./checks.mjs"
import { Root, equal, eventually, expect } from "./control.mjs"
import { arrived, copying, holds, place } from "./copies.mjs"

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const isGone = (subscription) =>
    eventually(`${subscription.id} is gone`, async () => (await subscription.get()).status === 404, 20_000)

  return {
    "a source that is closed is copied to its end, and stays": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0])
      const subscription = await copying(root, target, { streams: [of("a")], from: "start" })
      const close = { "Stream-Closed": "true" }
      expect(await root.ask("POST", of("a"), JSON.stringify([1, 2]), close), 204)
      await holds(root, target, [0, 1, 2], "all that it holds")
      equal(await subscription.links(), [`${of("a")} explicit`], "links")
      await subscription.acked(of("a"), await root.tail(of("a")))
      // Closed before it was found is no worse.
      const again = await copying(root, target, { streams: [of("a")], from: "start", description: "again" })
      equal((await arrived(root, target, 6)).slice(3), [0, 1, 2], "again")
      equal(await again.links(), [`${of("a")} explicit`], "links")
    },

    "a stream that takes the name of a deleted source is copied from its start": async () => {
      const { name, target, of } = await place(root)
      const [a, b] = [of("a"), of("b")]
      for (const path of [a, b]) await root.create(path, [0])
      const config = { streams: [a], pattern: `${name}/*`, envelope: true }
      const subscription = await copying(root, target, config)
      for (const path of [a, b]) await root.append(path, 1)
      await arrived(root, target, 2)
      for (const life of [1, 2, 3]) {
        for (const path of [a, b]) {
          expect(await root.ask("DELETE", path), 204)
          await root.create(path, [`life ${life}`])
          await root.append(path, `more of ${life}`)
        }
        await arrived(root, target, 2 + 4 * life)
      }
      await sleep(400)
      const { messages } = await root.read(target)
      const all = [1, ...[1, 2, 3].flatMap((life) => [`life ${life}`, `more of ${life}`])]
      for (const path of [a, b]) {
        equal(messages.filter(({ stream }) => stream === path).map(({ data }) => data), all, path)
      }
      equal(await subscription.links(), [`${a} explicit`, `${b} glob`], "links")
    },

    "a source that expires is let go, and the next of its name is copied": async () => {
      const { name, target, of } = await place(root)
      await root.create(of("a"), [0], { "Stream-TTL": "1" })
      const subscription = await copying(root, target, { pattern: `${name}/*` })
      await root.append(of("a"), 1)
      await arrived(root, target, 1)
      await eventually("the link is gone", async () => (await subscription.links()).length === 0)
      await root.create(of("a"), [2])
      await holds(root, target, [1, 2], "of both")
    },

    "a target that is closed parks what copies into it, and says so": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const subscription = await copying(root, target, { streams: [of("a")] })
      await root.append(of("a"), 1)
      await arrived(root, target, 1)
      expect(await root.ask("POST", target, undefined, { "Stream-Closed": "true" }), 204)
      await root.append(of("a"), 2)
      await eventually("it is parked", async () => (await subscription.get()).json.parked)
      const { json } = await subscription.get()
      equal([json.status, json.last_error], ["failed", "the target stream is closed"], "why")
      await holds(root, target, [1], "copies")
      expect(await subscription.delete(), 204)
    },

    "a target that is deleted takes what copies into it along, and sources stay": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const first = await copying(root, target, { streams: [of("a")] })
      const second = await copying(root, target, { streams: [of("a")], description: "second" })
      await root.append(of("a"), 1)
      await arrived(root, target, 2)
      expect(await root.ask("DELETE", target), 204)
      for (const subscription of [first, second]) await isGone(subscription)
      await root.append(of("a"), 2)
      equal((await root.read(of("a"))).messages, [1, 2], "the source")
      expect(await root.ask("HEAD", target), 404)
    },

    "a target that is made anew gets nothing of what the old one was for": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const subscription = await copying(root, target, { streams: [of("a")] })
      await root.append(of("a"), 1)
      await arrived(root, target, 1)
      expect(await root.ask("DELETE", target), 204)
      await root.create(target)
      await root.append(of("a"), 2)
      await isGone(subscription)
      await root.append(of("a"), 3)
      await holds(root, target, [], "the new one")
      // And may be a target again, also of the same id.
      const again = { type: "copy", target_stream: target, streams: [of("a")] }
      expect(await subscription.put(again), 201)
      await root.append(of("a"), 4)
      await holds(root, target, [4], "copies")
    },

    "a target that nobody reads expires, though it is written to, and takes the subscription along":
      async () => {
        const { name, of } = await place(root)
        const target = `${name}-short`
        await root.create(target, [], { "Stream-TTL": "2" })
        await root.create(of("a"))
        const subscription = await copying(root, target, { streams: [of("a")] })
        const end = Date.now() + 30_000
        let count = 0
        for (;;) {
          await root.append(of("a"), count++)
          await sleep(300)
          if ((await subscription.get()).status === 404) break
          if (Date.now() > end) throw new Error("copies keep the target")
        }
        expect(await root.ask("HEAD", target), 404)
      },

    "a target that is read stays": async () => {
      const { name, of } = await place(root)
      const target = `${name}-read`
      await root.create(target, [], { "Stream-TTL": "2" })
      await root.create(of("a"))
      const subscription = await copying(root, target, { streams: [of("a")] })
      for (let n = 0; n < 12; n++) {
        await root.append(of("a"), n)
        await sleep(400)
        await root.read(target)
      }
      expect(await subscription.get(), 200)
      equal((await arrived(root, target, 12)).length, 12, "copies")
    },

    "a target that was a target no more may be copied": async () => {
      const { target, of } = await place(root)
      for (const path of ["a", "b"]) await root.create(of(path))
      const first = await copying(root, target, { streams: [of("a")] })
      expect(await first.delete(), 204)
      const next = root.subscription()
      const config = { type: "copy", target_stream: of("b"), streams: [target] }
      await eventually("it is free", async () => (await next.put(config)).status === 201)
      await root.append(target, 1)
      await holds(root, of("b"), [1], "copies")
    },

    "a subscription that is deleted copies nothing more, and its next one begins anew": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0])
      const config = { type: "copy", target_stream: target, streams: [of("a")], from: "start" }
      const subscription = await root.subscribe(config)
      await arrived(root, target, 1)
      expect(await subscription.delete(), 204)
      await root.append(of("a"), 1)
      await holds(root, target, [0], "before it was deleted")
      expect(await subscription.put(config), 201)
      await holds(root, target, [0, 0, 1], "all of it again")
    },
  }
}
