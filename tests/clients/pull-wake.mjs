// Subscriptions that write events to a stream, and workers that race for them.
import { numbers, sleep } from "./checks.mjs"
import { Root, acksOf, equal, eventually, expect, fresh, isNothing } from "./control.mjs"

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)

  /** A subscription to all below a place of its own, with a stream for its events elsewhere. */
  const pulling = async (more, id) => {
    const place = fresh("pulled")
    const wakes = `${fresh("wakes")}/pool`
    await root.create(wakes)
    const config = { type: "pull-wake", pattern: `${place}/*`, wake_stream: wakes, ...more }
    const subscription = await root.subscribe(config, id)
    return { subscription, wakes, a: `${place}/a`, b: `${place}/b` }
  }
  /** The events that were written, of which there are so many at least. */
  const events = (wakes, count) =>
    eventually(`${count} events in ${wakes}`, async () => {
      const { messages } = await root.read(wakes)
      return messages.length >= count && messages
    })
  const cursor = async (subscription, path) => (await subscription.link(path)).acked_offset

  return {
    "an event is written, claimed, and acked": async () => {
      const { subscription, wakes, a } = await pulling()
      const before = Date.now()
      await root.create(a, [0])
      const [{ ts, ...event }] = await events(wakes, 1)
      const { id } = subscription
      equal(event, { type: "wake", subscription_id: id, stream: a, generation: 1 }, "the event")
      equal(ts >= before - 1000 && ts <= Date.now() + 1000, true, `ts is ${ts}`)
      const { json: claim } = expect(await subscription.claim("worker-1"), 200)
      const { wake_id, token, streams, ...rest } = claim
      equal(rest, { generation: 1, lease_ttl_ms: 30_000 }, "the claim")
      equal([typeof wake_id, typeof token], ["string", "string"], "wake_id, token")
      const tail_offset = await root.tail(a)
      const [{ acked_offset, ...stream }] = streams
      equal(stream, { path: a, link_type: "glob", tail_offset, has_pending: true }, "the stream")
      const { messages, offset } = await root.read(a, acked_offset)
      equal([messages, offset], [[0], tail_offset], "what is pending")
      const done = { acks: [{ stream: a, offset }], done: true }
      equal(expect(await subscription.ack(claim, done), 200).json, { ok: true, next_wake: false }, "ack")
      equal(await cursor(subscription, a), offset, "the cursor")
      expect(await subscription.ack(claim, done), 409, "FENCED")
      expect(await subscription.release(claim), 409, "FENCED")
      expect(await subscription.claim("worker-1"), 409, "NO_PENDING_WORK")
      equal((await events(wakes, 1)).length, 1, "events")
    },

    "of workers that race, one has it, and the others are told who": async () => {
      const { subscription, a } = await pulling()
      await root.create(a, [0])
      for (const round of numbers(1, 4)) {
        const workers = numbers(0, 8).map((n) => `worker-${n}`)
        const answers = await Promise.all(workers.map((worker) => subscription.claim(worker)))
        const winner = answers.findIndex(({ status }) => status === 200)
        const claim = answers[winner].json
        for (const [at, answer] of answers.entries()) {
          if (at === winner) continue
          expect(answer, 409, "ALREADY_CLAIMED")
          const { current_holder, generation } = answer.error
          equal([current_holder, generation], [workers[winner], claim.generation], "who has it")
        }
        equal(claim.generation, round, "generation")
        expect(await subscription.claim(workers[winner]), 409, "ALREADY_CLAIMED")
        expect(await subscription.ack(claim, { acks: acksOf(claim), done: true }), 200)
        await root.append(a, round)
      }
    },

    "what was appended can be claimed at once": async () => {
      const { subscription, a } = await pulling()
      await root.create(a)
      for (const n of numbers(0, 20)) {
        const tail = await root.append(a, n)
        // A pattern finds a new stream a moment after its creation was answered.
        if (n === 0) await eventually("it is linked", async () => (await subscription.links()).length === 1)
        const { json: claim } = expect(await subscription.claim("worker"), 200)
        equal(acksOf(claim), [{ stream: a, offset: tail }], "pending")
        const answer = await subscription.ack(claim, { acks: acksOf(claim), done: true })
        equal(expect(answer, 200).json, { ok: true, next_wake: false }, "ack")
      }
    },

    "a part can be acked, and the rest is the next wake's": async () => {
      const { subscription, wakes, a, b } = await pulling()
      await root.create(a, [0])
      await root.create(b, [0])
      const middle = await root.tail(a)
      await root.append(a, 1)
      // Soon, what was appended is known.
      await sleep(500)
      const first = await subscription.claimed("worker")
      equal((await subscription.ack(first, { acks: [{ stream: a, offset: middle }] })).json.ok, true, "ack")
      equal(await cursor(subscription, a), middle, "the cursor in the middle")
      // The same once more, and under its other name.
      expect(await subscription.ack(first, { acks: [{ path: a, offset: middle }] }), 200)
      expect(await subscription.claim("another"), 409, "ALREADY_CLAIMED")
      const rest = { acks: [{ stream: b, offset: await root.tail(b) }], done: true }
      equal((await subscription.ack(first, rest)).json, { ok: true, next_wake: true }, "ack")
      const written = await events(wakes, 2)
      equal(written.map(({ generation }) => generation), [1, 2], "generations")
      const second = await subscription.claimed("worker")
      equal(acksOf(second), [{ stream: a, offset: await root.tail(a) }], "pending")
      equal(second.streams.find(({ path }) => path === a).acked_offset, middle, "where it goes on")
    },

    "an ack that is wrong in one place changes nothing": async () => {
      const { subscription, a, b } = await pulling()
      await root.create(a, [0])
      await root.create(b, [0])
      const offset = await root.tail(a)
      const claim = await subscription.claimed("worker")
      expect(await subscription.ack(claim, { acks: [{ stream: a, offset }] }), 200)
      const good = { stream: b, offset: await root.tail(b) }
      const beyond = offset.replace(/^./, "9")
      const wrong = {
        "beyond the tail": { stream: a, offset: beyond },
        "below the cursor": { stream: a, offset: offset.replaceAll(/\d/g, "0") },
        "before everything": { stream: a, offset: "-1" },
        "of another stream": { stream: `${a}-other`, offset },
      }
      for (const [what, ack] of Object.entries(wrong)) {
        for (const acks of [[good, ack], [ack, good]]) {
          const answer = await subscription.ack(claim, { acks, done: true })
          equal([answer.status, answer.error?.code], [409, "INVALID_OFFSET"], what)
        }
      }
      equal(isNothing(await cursor(subscription, b)), true, "the cursor of b")
      equal(await cursor(subscription, a), offset, "the cursor of a")
      // It still has the lease.
      const answer = await subscription.ack(claim, { acks: [good], done: true })
      equal(expect(answer, 200).json, { ok: true, next_wake: false }, "ack")
    },

    "acks keep a lease, and one that ends is fenced and goes to another": async () => {
      const { subscription, wakes, a } = await pulling({ lease_ttl_ms: 2000 })
      await root.create(a, [0])
      const first = await subscription.claimed("worker-1")
      for (const beat of numbers(0, 6)) {
        await sleep(800)
        equal(expect(await subscription.ack(first), 200).json, { ok: true, next_wake: false }, `beat ${beat}`)
      }
      equal((await events(wakes, 1)).length, 1, "events while it is held")
      const since = Date.now()
      const [, event] = await events(wakes, 2)
      equal(Date.now() - since >= 1900, true, `after ${Date.now() - since} ms`)
      equal(event.generation > first.generation, true, "generations")
      const second = await subscription.claimed("worker-2")
      equal(second.generation, event.generation, "the claim")
      equal(second.wake_id === first.wake_id, false, "the same wake")
      const late = { acks: acksOf(first), done: true }
      expect(await subscription.ack(first, late), 409, "FENCED")
      expect(await subscription.release(first), 409, "FENCED")
      const { wake_id, generation } = second
      expect(await subscription.ack({ ...first, wake_id, generation }, late), 409, "FENCED")
      expect(await subscription.ack({ ...second, wake_id: first.wake_id }, late), 409, "FENCED")
      expect(await subscription.ack({ ...second, generation: 1 }, late), 409, "FENCED")
      equal(isNothing(await cursor(subscription, a)), true, "the cursor")
      expect(await subscription.ack(second, late), 200)
    },

    "what is released is somebody's again": async () => {
      const { subscription, wakes, a } = await pulling()
      await root.create(a, [0])
      const first = await subscription.claimed("worker-1")
      expect(await subscription.release(first), 204)
      expect(await subscription.release(first), 409, "FENCED")
      expect(await subscription.ack(first, { acks: acksOf(first) }), 409, "FENCED")
      const written = await events(wakes, 2)
      equal(written.map(({ generation }) => generation), [1, 2], "generations")
      equal(isNothing(await cursor(subscription, a)), true, "the cursor")
      const second = await subscription.claimed("worker-2")
      equal([second.generation, acksOf(second)], [2, acksOf(first)], "the second claim")
      // With nothing left to do there is no other event.
      expect(await subscription.ack(second, { acks: acksOf(second) }), 200)
      expect(await subscription.release(second), 204)
      await sleep(500)
      equal((await events(wakes, 2)).length, 2, "events")
    },

    "appends while a wake waits make no other event": async () => {
      const { subscription, wakes, a, b } = await pulling()
      await root.create(a, [0])
      await events(wakes, 1)
      for (const n of numbers(1, 6)) await root.append(a, n)
      await root.create(b, [0])
      await sleep(700)
      equal((await events(wakes, 1)).length, 1, "events")
      const claim = await subscription.claimed("worker")
      equal(claim.streams.map(({ path }) => path).toSorted(), [a, b], "pending")
      equal(acksOf(claim).find(({ stream }) => stream === a).offset, await root.tail(a), "the tail")
    },

    "a deleted subscription fences its worker": async () => {
      const { subscription, a, wakes } = await pulling()
      await root.create(a, [0])
      const claim = await subscription.claimed("worker")
      const { json: config } = await subscription.get()
      expect(await subscription.delete(), 204)
      const done = { acks: acksOf(claim), done: true }
      expect(await subscription.ack(claim, done), 404, "SUBSCRIPTION_NOT_FOUND")
      expect(await subscription.release(claim), 404, "SUBSCRIPTION_NOT_FOUND")
      expect(await subscription.claim("worker"), 404, "SUBSCRIPTION_NOT_FOUND")
      const { type, pattern } = config
      expect(await subscription.put({ type, pattern, wake_stream: wakes }), 201)
      const tail = await cursor(subscription, a)
      equal(tail, await root.tail(a), "the next one's cursor")
      await root.append(a, 1)
      const second = await subscription.claimed("worker")
      for (const answer of [await subscription.ack(claim, done), await subscription.release(claim)]) {
        equal([401, 404, 409].includes(answer.status), true, `${answer.status} ${answer.text}`)
      }
      equal(await cursor(subscription, a), tail, "the next one's cursor")
      expect(await subscription.ack(second, { acks: acksOf(second), done: true }), 200)
    },

    "a token is for one subscription": async () => {
      const one = await pulling()
      const other = await pulling()
      await root.create(one.a, [0])
      await root.create(other.a, [0])
      const claim = await one.subscription.claimed("worker")
      const theirs = await other.subscription.claimed("worker")
      const forged = { ...theirs, token: claim.token }
      expect(await other.subscription.ack(forged, { done: true }), 401, "TOKEN_INVALID")
      expect(await other.subscription.release(forged), 401, "TOKEN_INVALID")
      expect(await other.subscription.callback({ ...forged, callback_token: claim.token }), 401, "TOKEN_INVALID")
      const [head, payload, mac] = theirs.token.split(".")
      const broken = [theirs.token.slice(1), `${theirs.token}x`, "x", [payload, head, mac].join(".")]
      for (const token of broken) {
        expect(await other.subscription.ack({ ...theirs, token }), 401, "TOKEN_INVALID")
      }
      expect(await other.subscription.ack(theirs), 200)
    },

    "a wake can be claimed though there is no stream for its event": async () => {
      const { subscription, a } = await pulling({ wake_stream: `${fresh("wakes")}/missing` })
      await root.create(a, [0])
      const claim = await subscription.claimed("worker")
      const answer = await subscription.ack(claim, { acks: acksOf(claim), done: true })
      equal(expect(answer, 200).json, { ok: true, next_wake: false }, "ack")
      await root.append(a, 1)
      expect(await subscription.claim("worker"), 200)
    },

    "workers that follow the events process all messages, in order": async () => {
      const { subscription, wakes, a } = await pulling({ lease_ttl_ms: 5000 })
      const place = a.split("/")[0]
      const paths = numbers(0, 5).map((n) => `${place}/s${n}`)
      const processed = new Map(paths.map((path) => [path, []]))
      const wanted = 20
      let isDone = false
      const work = async (worker) => {
        while (!isDone) {
          const answer = await subscription.claim(worker)
          if (answer.status === 409) {
            await sleep(30)
            continue
          }
          const claim = expect(answer, 200).json
          for (const { stream } of acksOf(claim)) {
            const { acked_offset } = claim.streams.find(({ path }) => path === stream)
            const { messages, offset } = await root.read(stream, acked_offset)
            processed.get(stream).push(...messages)
            expect(await subscription.ack(claim, { acks: [{ stream, offset }] }), 200)
          }
          expect(await subscription.ack(claim, { done: true }), 200)
        }
      }
      const workers = numbers(0, 3).map((n) => work(`worker-${n}`))
      await Promise.all(
        paths.map(async (path) => {
          await root.create(path)
          for (const n of numbers(0, wanted)) await root.append(path, n)
        }),
      )
      const all = () => [...processed.values()].every(({ length }) => length >= wanted)
      await eventually("all is processed", async () => all(), 30_000)
      isDone = true
      await Promise.all(workers)
      for (const path of paths) equal(processed.get(path), numbers(0, wanted), path)
      const generations = (await events(wakes, 1)).map(({ generation }) => generation)
      equal(generations.toSorted((x, y) => x - y), generations, "generations")
    },
  }
}
