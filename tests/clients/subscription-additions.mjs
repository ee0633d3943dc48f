// What our server does for subscriptions beyond the protocol.
import { numbers, sleep } from "./checks.mjs"
import { Root, acksOf, equal, eventually, expect, fresh, isNothing } from "./control.mjs"
import { DONE, Receiver, judge, keysAt, withReceiver } from "./receiver.mjs"

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const pulling = async (more, id) => {
    const place = fresh("more")
    const wake_stream = `${place}-wakes`
    await root.create(wake_stream)
    const config = { type: "pull-wake", pattern: `${place}/*`, wake_stream, ...more }
    return { subscription: await root.subscribe(config, id), path: `${place}/a`, place, wake_stream }
  }
  const hooked = async (receiver, more) => {
    const place = fresh("more")
    const config = { type: "webhook", pattern: `${place}/*`, webhook: { url: receiver.url }, ...more }
    const subscription = await root.subscribe(config)
    await root.create(`${place}/a`, [0])
    return { subscription, path: `${place}/a`, place }
  }
  const shown = async (subscription) => expect(await subscription.get(), 200).json

  return {
    "a subscription shows what it is at": async () => {
      const { subscription, path } = await pulling()
      const idle = await shown(subscription)
      equal([idle.phase, idle.generation, idle.pending], ["idle", 0, 0], "at first")
      await root.create(path, [0])
      const waking = await eventually("it wakes", async () => {
        const seen = await shown(subscription)
        return seen.phase === "waking" && seen
      })
      equal([waking.generation, waking.pending], [1, 1], "waking")
      const claim = await subscription.claimed("worker-7")
      const held = await shown(subscription)
      equal([held.phase, held.holder, held.generation], ["held", "worker-7", 1], "held")
      equal(held.wake_id, claim.wake_id, "wake_id")
      const left = new Date(held.lease_expires_at) - Date.now()
      equal(left > 20_000 && left < 31_000, true, `${held.lease_expires_at} is in ${left} ms`)
      if (JSON.stringify(held).includes(claim.token)) throw new Error("it tells the token")
      await subscription.ack(claim, { acks: acksOf(claim), done: true })
      const after = await shown(subscription)
      equal([after.phase, after.pending, after.generation], ["idle", 0, 1], "afterwards")
      equal([after.holder ?? null, after.wake_id ?? null], [null, null], "nobody's")
    },

    "a failing webhook shows why, and is tried again when told to": withReceiver(
      async (receiver) => {
        const { subscription, path } = await hooked(receiver)
        for (const _ of numbers(0, 3)) await receiver.next()
        const failed = await eventually("the third attempt has failed", async () => {
          const seen = await shown(subscription)
          return seen.attempts >= 3 && seen.status === "failed" && seen
        })
        equal(JSON.stringify(failed.last_error).includes("503"), true, `${failed.last_error}`)
        const wait = new Date(failed.next_attempt_at) - Date.now()
        equal(wait > 2000 && wait < 5000, true, `${failed.next_attempt_at} is in ${wait} ms`)
        receiver.answers = DONE
        expect(await root.ask("POST", `${subscription.path}/retry`), 204)
        const delivery = await receiver.next(1500)
        await subscription.acked(path, delivery.streams[0].tail_offset)
        const { status, phase } = await shown(subscription)
        equal([status, phase], ["active", "idle"], "afterwards")
        expect(await root.ask("POST", `${root.subscription().path}/retry`), 404, "SUBSCRIPTION_NOT_FOUND")
      },
      () => ({ status: 503, body: {} }),
    ),

    "a redirect is a failure, and leads nowhere": async () => {
      const other = await Receiver.start(DONE)
      try {
        const answers = () => ({ status: 307, body: {}, headers: { Location: other.url } })
        await withReceiver(async (receiver) => {
          const { subscription } = await hooked(receiver)
          await receiver.next()
          await eventually("it has failed", async () => (await shown(subscription)).status === "failed")
          equal(other.deliveries.length, 0, "deliveries elsewhere")
        }, answers)()
      } finally {
        other.stop()
      }
    },

    "a receiver that never answers is asked again": async () => {
      const waiting = []
      const answers = () => new Promise((resolve) => waiting.push(resolve))
      await withReceiver(async (receiver) => {
        const { subscription, path } = await hooked(receiver, { lease_ttl_ms: 1000 })
        const first = await receiver.next()
        receiver.answers = DONE
        const second = await receiver.next()
        equal(second.at - first.at >= 900, true, `after ${second.at - first.at} ms`)
        await subscription.acked(path, second.streams[0].tail_offset)
      }, answers)()
      for (const resolve of waiting) resolve()
    },

    "a token of a deleted subscription is none of the next one's": withReceiver(async (receiver) => {
      const { subscription, path, place } = await hooked(receiver)
      const first = await receiver.next()
      expect(await subscription.delete(), 204)
      const config = { type: "webhook", pattern: `${place}/*`, webhook: { url: receiver.url } }
      expect(await subscription.put(config), 201)
      await root.append(path, 1)
      const second = await receiver.next()
      equal(second.generation >= 1, true, "generation")
      const forged = { ...second, callback_token: first.callback_token }
      const answer = await subscription.callback(forged, { acks: acksOf(second), done: true })
      equal([401, 409].includes(answer.status), true, `${answer.status} ${answer.text}`)
      expect(await subscription.callback(second, { acks: acksOf(second), done: true }), 200)
    }),

    "keys are changed with both published, and at once when told to": withReceiver(
      async (receiver) => {
        const { subscription, path } = await hooked(receiver)
        const jwks = `${root.url}/__ds/jwks.json`
        const first = await receiver.next()
        const { kid: old } = judge(first, await keysAt(jwks))
        const soon = expect(await root.ask("POST", "__ds/keys/rotate", {}), 200).json
        equal(soon.kid === old, false, "the same key")
        const wait = new Date(soon.active_at) - Date.now()
        // Receivers may keep a set of keys for five minutes.
        equal(wait >= 5 * 60_000 - 5000, true, `active in ${wait} ms`)
        const both = await keysAt(jwks)
        equal([both.has(old), both.has(soon.kid)], [true, true], "both are published")
        await root.append(path, 1)
        equal(judge(await receiver.next(), both).kid, old, "the old key signs until then")
        const now = expect(await root.ask("POST", "__ds/keys/rotate", { now: true }), 200).json
        equal(now.kid === old, false, "the old key")
        const published = await keysAt(jwks)
        equal([...published.keys()], [now.kid], "nothing but the new key is published")
        // One delivery may be signed by the key of before. It is refused, and repeated.
        const isGood = (delivery) => {
          try {
            return judge(delivery, published).kid === now.kid
          } catch (error) {
            equal(error.message, `an unknown key: ${old}`, "a refusal")
            return false
          }
        }
        receiver.answers = (delivery) => (isGood(delivery) ? DONE() : { status: 401, body: {} })
        await root.append(path, 2)
        const next = await receiver.next()
        const good = isGood(next) ? next : await receiver.next()
        equal(judge(good, published).kid, now.kid, "the new key signs")
        equal([good.wake_id, good.generation], [next.wake_id, next.generation], "the wake")
        await subscription.acked(path, await root.tail(path))
        equal((await shown(subscription)).webhook.signing.kid, now.kid, "what the subscription says")
      },
      DONE,
    ),

    "an event that nobody claims is repeated": async () => {
      const { path, wake_stream, subscription } = await pulling({ lease_ttl_ms: 1000 })
      await root.create(path, [0])
      const events = await eventually("it is repeated", async () => {
        const { messages } = await root.read(wake_stream)
        return messages.length > 1 && messages
      })
      equal(new Set(events.map(({ generation }) => generation)).size, 1, "generations")
      const wait = events[1].ts - events[0].ts
      equal(wait >= 900 && wait < 5000, true, `repeated after ${wait} ms`)
      equal((await subscription.claimed("worker")).generation, events[0].generation, "the claim")
    },

    "a missing stream for events is told, and filled when it comes": async () => {
      const wake_stream = fresh("missing")
      const { path, subscription } = await pulling({ wake_stream })
      await root.create(path, [0])
      const seen = await eventually("it has failed", async () => {
        const seen = await shown(subscription)
        return seen.status === "failed" && seen
      })
      equal(typeof seen.last_error, "string", "last_error")
      await root.create(wake_stream)
      await eventually("the event", async () => (await root.read(wake_stream)).messages.length > 0)
      await eventually("it works again", async () => (await shown(subscription)).status === "active")
    },

    "a pattern that matches the stream for events does not wake for them": async () => {
      const place = fresh("loop")
      const wake_stream = `${place}/wakes`
      await root.create(wake_stream)
      const config = { type: "pull-wake", pattern: `${place}/**`, wake_stream, lease_ttl_ms: 60_000 }
      const subscription = await root.subscribe(config)
      await root.create(`${place}/a`, [0])
      const claim = await subscription.claimed("worker")
      equal(claim.streams.map(({ path }) => path), [`${place}/a`], "streams")
      const answer = await subscription.ack(claim, { acks: acksOf(claim), done: true })
      equal(answer.json, { ok: true, next_wake: false }, "ack")
      await sleep(1000)
      equal((await root.read(wake_stream)).messages.length, 1, "events")
    },

    "a stream linked by name stays linked when it is deleted": async () => {
      const path = fresh("ended")
      await root.create(path, [0, 1])
      const { subscription } = await pulling({ pattern: undefined, streams: [path] })
      expect(await root.ask("DELETE", path), 204)
      await eventually("it starts over", async () => isNothing((await subscription.link(path))?.acked_offset))
      await root.create(path, [2])
      const claim = await subscription.claimed("worker")
      const { acked_offset } = claim.streams.find((link) => link.path === path)
      equal((await root.read(path, acked_offset)).messages, [2], "all of the new one")
    },

    "a stream that expires is one that ended": async () => {
      const { subscription, path } = await pulling()
      await root.create(path, [0], { "Stream-TTL": "1" })
      await eventually("it is linked", () => subscription.link(path))
      await eventually("it is not linked any more", async () => !(await subscription.link(path)), 15_000)
    },

    "a subscription with many streams is read in pages": async () => {
      const place = fresh("pages")
      const paths = numbers(0, 25).map((n) => `${place}/${String(n).padStart(2, "0")}`)
      const { subscription } = await pulling({ pattern: undefined, streams: paths })
      equal((await shown(subscription)).streams_total, 25, "streams_total")
      const seen = []
      for (let after = ""; ; after = encodeURIComponent(seen.at(-1))) {
        const { json } = expect(await root.ask("GET", `${subscription.path}?limit=10&after=${after}`), 200)
        seen.push(...json.streams.map(({ path }) => path))
        if (json.streams.length < 10) break
      }
      equal(seen, paths, "all of them, in order")
    },
  }
}
