// Which streams a subscription has, and from where on.
import { sleep } from "./checks.mjs"
import { Root, acksOf, equal, eventually, expect, fresh, isNothing } from "./control.mjs"

/** Patterns below a place, and what they match of its streams. */
const STREAMS = ["a", "b", "a/c", "b/c", "a/b/c", "a*", "x.y:z", "long/er/and/longer"]
const PATTERNS = {
  "*": ["a", "b", "a*", "x.y:z"],
  "**": STREAMS,
  "a": ["a"],
  "a/": ["a"],
  "*/c": ["a/c", "b/c"],
  "a/*": ["a/c"],
  "a/**": ["a", "a/c", "a/b/c"],
  "**/c": ["a/c", "b/c", "a/b/c"],
  "*/*/c": ["a/b/c"],
  "**/b/**": ["b", "b/c", "a/b/c"],
  "a/**/c": ["a/c", "a/b/c"],
  "a/**/b/**/c": ["a/b/c"],
  "**/**": STREAMS,
  "**/*": STREAMS,
  "*/**": STREAMS,
  "*/**/*": ["a/c", "b/c", "a/b/c", "long/er/and/longer"],
  "?": [],
  "[ab]": [],
}

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const pulling = async (more) => {
    const wake_stream = `${fresh("wakes")}/pool`
    await root.create(wake_stream)
    return root.subscribe({ type: "pull-wake", wake_stream, ...more })
  }
  const finish = async (subscription) => {
    const claim = await subscription.claimed("worker")
    expect(await subscription.ack(claim, { acks: acksOf(claim), done: true }), 200)
    return claim
  }

  return {
    "a pattern has the streams it matches, whether they were there or come": async () => {
      const before = fresh("globs")
      const after = fresh("globs")
      for (const path of STREAMS) await root.create(`${before}/${path}`)
      const patterns = Object.entries(PATTERNS)
      const both = await Promise.all(
        patterns.map(async ([pattern]) => [
          await pulling({ pattern: `${before}/${pattern}` }),
          await pulling({ pattern: `${after}/${pattern}` }),
        ]),
      )
      for (const path of STREAMS) await root.create(`${after}/${path}`, [0])
      for (const [at, [pattern, matched]] of patterns.entries()) {
        const expected = (place) => matched.map((path) => `${place}/${path} glob`).toSorted()
        const [ofBefore, ofAfter] = both[at]
        equal(await ofBefore.links(), expected(before), `${pattern}, there before`)
        await eventually(`${pattern}, later`, async () => {
          const links = await ofAfter.links()
          return links.length >= matched.length
        })
        equal(await ofAfter.links(), expected(after), `${pattern}, later`)
      }
    },

    "streams that are there are linked at their tail, later ones before their first message":
      async () => {
        const place = fresh("links")
        const old = `${place}/old`
        await root.create(old, [0, 1, 2])
        const start = await root.tail(old)
        const subscription = await pulling({ pattern: `${place}/*` })
        equal(await subscription.link(old), { path: old, link_type: "glob", acked_offset: start }, "old")
        expect(await subscription.claim("worker"), 409, "NO_PENDING_WORK")
        const young = `${place}/young`
        await root.create(young, [3])
        const empty = `${place}/empty`
        await root.create(empty)
        const first = await finish(subscription)
        equal(acksOf(first), [{ stream: young, offset: await root.tail(young) }], "pending")
        const { acked_offset } = first.streams.find(({ path }) => path === young)
        equal((await root.read(young, acked_offset)).messages, [3], "all of the young one")
        await root.append(old, 4)
        const second = await finish(subscription)
        equal(acksOf(second).map(({ stream }) => stream), [old], "pending")
        equal((await root.read(old, start)).messages, [4], "what is new in the old one")
        await root.append(empty, 5)
        const third = await finish(subscription)
        const from = third.streams.find(({ path }) => path === empty).acked_offset
        equal((await root.read(empty, from)).messages, [5], "all of the one that was empty")
      },

    "streams by name are linked at their tail, and from the start where there is none": async () => {
      const place = fresh("named")
      const [old, added, missing, later] = ["old", "added", "missing", "later"].map((name) => `${place}/${name}`)
      await root.create(old, [0])
      await root.create(added, [0, 1])
      const subscription = await pulling({ streams: [old, missing] })
      expect(await subscription.add([added, later]), 204)
      const link = async (path) => (await subscription.link(path))?.acked_offset
      equal(await link(old), await root.tail(old), "old")
      equal(await link(added), await root.tail(added), "added")
      for (const path of [missing, later]) equal(isNothing(await link(path)), true, path)
      expect(await subscription.claim("worker"), 409, "NO_PENDING_WORK")
      for (const path of [missing, later]) {
        await root.create(path, [7])
        const claim = await finish(subscription)
        equal(acksOf(claim).map(({ stream }) => stream), [path], "pending")
        const { acked_offset, link_type } = claim.streams.find((one) => one.path === path)
        equal(link_type, "explicit", "type")
        equal((await root.read(path, acked_offset)).messages, [7], `all of ${path}`)
      }
    },

    "streams are added and taken away any number of times": async () => {
      const place = fresh("members")
      const [a, b, c] = ["a", "deep/b", "c"].map((name) => `${place}/${name}`)
      const subscription = await pulling({ streams: [a] })
      await root.create(a, [0])
      await finish(subscription)
      const kept = await subscription.link(a)
      expect(await subscription.add([a, b, `/${c}/`]), 204)
      expect(await subscription.add([b, b]), 204)
      equal(await subscription.link(a), kept, "the cursor of one that was there")
      equal(await subscription.links(), [a, c, b].map((path) => `${path} explicit`), "added")
      expect(await subscription.remove(b), 204)
      expect(await subscription.remove(b), 204)
      equal(await subscription.links(), [a, c].map((path) => `${path} explicit`), "with %2F")
      // The same with slashes as they are.
      expect(await root.ask("DELETE", `${subscription.path}/streams/${a}`), 204)
      expect(await subscription.remove(`${place}/never-was`), 204)
      equal(await subscription.links(), [`${c} explicit`], "with slashes")
      await root.append(a, 1)
      await sleep(300)
      expect(await subscription.claim("worker"), 409, "NO_PENDING_WORK")
    },

    "what is linked by name and by pattern is there by name, and stays by pattern": async () => {
      const place = fresh("both")
      const [a, b] = ["a", "b"].map((name) => `${place}/${name}`)
      await root.create(a, [0])
      await root.create(b, [0])
      const subscription = await pulling({ pattern: `${place}/*`, streams: [a] })
      equal(await subscription.links(), [`${a} explicit`, `${b} glob`], "at first")
      const { acked_offset } = await subscription.link(b)
      await root.append(b, 1)
      expect(await subscription.add([b]), 204)
      equal((await subscription.link(b)).acked_offset, acked_offset, "the cursor")
      equal(await subscription.links(), [`${a} explicit`, `${b} explicit`], "with both by name")
      expect(await subscription.remove(a), 204)
      expect(await subscription.remove(b), 204)
      equal(await subscription.links(), [`${a} glob`, `${b} glob`], "with both by pattern")
      equal(acksOf(await finish(subscription)).map(({ stream }) => stream), [b], "pending")
      await root.append(a, 1)
      equal(acksOf(await finish(subscription)).map(({ stream }) => stream), [a], "pending")
    },

    "a stream that takes the name of a deleted one is another, from its start": async () => {
      const place = fresh("again")
      const path = `${place}/a`
      await root.create(path, [0, 1, 2])
      const subscription = await pulling({ pattern: `${place}/*` })
      expect(await root.ask("DELETE", path), 204)
      await eventually("the link has gone", async () => !(await subscription.link(path)))
      await root.create(path, [10])
      const claim = await finish(subscription)
      equal(acksOf(claim), [{ stream: path, offset: await root.tail(path) }], "pending")
      const { acked_offset } = claim.streams.find((link) => link.path === path)
      equal((await root.read(path, acked_offset)).messages, [10], "all of it")
    },

    "the same configuration is the same subscription, and another one is refused": async () => {
      const place = fresh("same")
      const wake_stream = `${place}/wakes`
      const config = {
        type: "pull-wake",
        pattern: `${place}/*`,
        streams: [`${place}/x`, `${place}/y`],
        wake_stream,
        lease_ttl_ms: 30_000,
        description: "same",
      }
      const subscription = await root.subscribe(config)
      const same = [
        {},
        { streams: [`${place}/y`, `/${place}/x/`, `${place}/x`] },
        { pattern: `/${place}/*` },
        { lease_ttl_ms: undefined },
        { wake_stream: `/${wake_stream}/` },
      ]
      for (const other of same) expect(await subscription.put({ ...config, ...other }), 200)
      expect(await subscription.add([`${place}/z`]), 204)
      expect(await subscription.put(config), 200)
      const different = [
        { pattern: `${place}/**` },
        { pattern: undefined },
        { streams: [`${place}/x`] },
        { streams: undefined },
        { wake_stream: `${place}/other` },
        { lease_ttl_ms: 30_001 },
        { description: "other" },
        { description: undefined },
        // What it is compared with comes before what its URL may be.
        { type: "webhook", wake_stream: undefined, webhook: { url: "http://10.0.0.1/" } },
      ]
      for (const other of different) {
        expect(await subscription.put({ ...config, ...other }), 409, "SUBSCRIPTION_ALREADY_EXISTS")
      }
      const { json } = await subscription.get()
      equal([json.description, json.streams.length], ["same", 3], "what it still is")
    },

    "ids may have any characters": async () => {
      for (const id of ["runner:x:y", "a b", "ü é", "100%", "a..b~c", "a/b c/d", "x".repeat(200)]) {
        const subscription = root.subscription(id)
        await subscription.delete()
        const config = { type: "pull-wake", streams: [fresh("ids")], wake_stream: fresh("ids") }
        equal(expect(await subscription.put(config), 201).json.id, subscription.id, "id")
        equal(expect(await subscription.get(), 200).json.subscription_id, subscription.id, "id")
        expect(await subscription.add([fresh("ids")]), 204)
        expect(await subscription.delete(), 204)
        expect(await subscription.get(), 404, "SUBSCRIPTION_NOT_FOUND")
      }
    },
  }
}
