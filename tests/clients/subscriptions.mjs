// Subscriptions that are delivered by webhook, as a receiver has them that knows the protocol and
// nothing else.
import { createHash, generateKeyPairSync } from "node:crypto"
import { sleep } from "./checks.mjs"
import { Root, acksOf, equal, eventually, expect, fresh, isNothing } from "./control.mjs"
import { DONE, REPLAY_WINDOW, judge, keysAt, withReceiver } from "./receiver.mjs"

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const subscribe = (receiver, more, id) =>
    root.subscribe({ type: "webhook", webhook: { url: receiver.url }, ...more }, id)
  /** A subscription to all below a place of its own, and a stream there with one message. */
  const woken = async (receiver, more) => {
    const place = fresh("hooks")
    const subscription = await subscribe(receiver, { pattern: `${place}/*`, ...more })
    const path = `${place}/a`
    await root.create(path, [0])
    return { subscription, path }
  }

  return {
    "a subscription says how its deliveries are signed": withReceiver(async (receiver) => {
      const subscription = root.subscription("signing:of all that is")
      const config = {
        type: "webhook",
        pattern: "nothing-that-there-is/*",
        webhook: { url: receiver.url },
        lease_ttl_ms: 1000,
        description: "an example",
      }
      await subscription.delete()
      const { json: made } = expect(await subscription.put(config), 201)
      const { json: kept } = expect(await subscription.get(), 200)
      equal(expect(await subscription.put(config), 200).json.created_at, made.created_at, "again")
      for (const seen of [made, kept]) {
        equal(seen.id, subscription.id, "id")
        equal(seen.subscription_id, subscription.id, "subscription_id")
        for (const field of ["type", "pattern", "lease_ttl_ms", "description"]) {
          equal(seen[field], config[field], field)
        }
        equal(seen.status, "active", "status")
        equal(seen.streams, [], "streams")
        equal(seen.webhook.url, receiver.url, "webhook.url")
        equal(seen.webhook.signing.alg, "ed25519", "alg")
        equal(seen.webhook.signing.jwks_url, `${root.url}/__ds/jwks.json`, "jwks_url")
        equal(new Date(seen.created_at).toISOString(), seen.created_at, "created_at")
        if (/secret|token|private/.test(JSON.stringify(seen))) throw new Error("it tells a secret")
      }
      const answer = await fetch(kept.webhook.signing.jwks_url)
      equal(answer.status, 200, "status of the keys")
      equal(answer.headers.get("content-type"), "application/jwk-set+json", "type of the keys")
      equal(answer.headers.get("cache-control"), "public, max-age=300", "how long they are kept")
      const { keys } = await answer.json()
      const { kty, crv, alg, use, x, kid, ...rest } = keys.find(
        (key) => key.kid === kept.webhook.signing.kid,
      )
      equal([kty, crv, alg, use, rest], ["OKP", "Ed25519", "EdDSA", "sig", {}], "the key")
      const thumbprint = createHash("sha256").update(JSON.stringify({ crv, kty, x }))
      equal(kid, `ds_${thumbprint.digest("base64url")}`, "the key's id")
      expect(await subscription.delete(), 204)
      expect(await subscription.get(), 404, "SUBSCRIPTION_NOT_FOUND")
    }),

    "a delivery is what the protocol says, and signed by a published key": withReceiver(
      async (receiver) => {
        const before = Math.floor(Date.now() / 1000)
        const { subscription, path } = await woken(receiver)
        const delivery = await receiver.next()
        equal([delivery.method, delivery.type], ["POST", "application/json"], "the request")
        const { json } = await subscription.get()
        const { time, kid } = judge(delivery, await keysAt(json.webhook.signing.jwks_url))
        equal(kid, json.webhook.signing.kid, "the key")
        equal(time >= before && time <= before + 15, true, `${time}, after ${before}`)
        const { subscription_id, callback_url, generation, wake_id, streams } = delivery
        equal(subscription_id, subscription.id, "subscription_id")
        equal(callback_url, `${root.url}/${subscription.path}/callback`, "callback_url")
        equal([generation, typeof wake_id], [1, "string"], "generation, wake_id")
        equal(streams.length, 1, "streams")
        const [{ acked_offset, ...stream }] = streams
        const tail_offset = await root.tail(path)
        equal(stream, { path, link_type: "glob", tail_offset, has_pending: true }, "stream")
        equal(acked_offset < tail_offset, true, `${acked_offset} before ${tail_offset}`)
        equal((await root.read(path, acked_offset)).messages, [0], "what is pending")
        equal(Object.keys(delivery.streams[0]).length, 5, "fields of a stream")
      },
    ),

    "a receiver refuses another key, a changed body, an unknown key, and an old delivery":
      withReceiver(async (receiver) => {
        const { subscription } = await woken(receiver)
        const delivery = await receiver.next()
        const { json } = await subscription.get()
        const keys = await keysAt(json.webhook.signing.jwks_url)
        const { kid } = judge(delivery, keys)
        const refusal = (...args) => {
          try {
            judge(...args)
          } catch (error) {
            return error.message.replace(/:.*/, "")
          }
        }
        const other = generateKeyPairSync("ed25519").publicKey
        equal(refusal(delivery, new Map([[kid, other]])), "a wrong signature", "another key")
        for (const at of [0, delivery.raw.length >> 1, delivery.raw.length - 1]) {
          const raw = Buffer.from(delivery.raw)
          raw[at] ^= 1
          equal(refusal({ ...delivery, raw }, keys), "a wrong signature", `byte ${at} changed`)
        }
        const later = delivery.signature.replace(/t=(\d+)/, (_, time) => `t=${Number(time) + 1}`)
        equal(refusal({ ...delivery, signature: later }, keys), "a wrong signature", "another time")
        equal(refusal(delivery, new Map([["ds_other", other]])), "an unknown key", "no such key")
        const { at } = delivery
        equal(refusal(delivery, keys, at + REPLAY_WINDOW + 2000), "an old delivery", "too late")
        equal(refusal(delivery, keys, at + REPLAY_WINDOW - 15_000), undefined, "late")
      }),

    "an answer that says done acks what was sent": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver, { lease_ttl_ms: 1000 })
      const [{ tail_offset }] = (await receiver.next()).streams
      await subscription.acked(path, tail_offset)
      // Longer than the lease: nothing is left that would have to be delivered again.
      await sleep(1500)
      equal(receiver.deliveries.length, 1, "deliveries")
      const tail = await root.append(path, 1)
      const next = await receiver.next()
      equal([next.generation, next.streams[0].tail_offset], [2, tail], "the next wake")
      equal(next.streams[0].acked_offset, tail_offset, "where it goes on")
    }, DONE),

    "what comes while a receiver works wakes it again": async () => {
      let goOn
      const appended = new Promise((resolve) => (goOn = resolve))
      const answers = async () => (await appended, DONE())
      await withReceiver(async (receiver) => {
        const { subscription, path } = await woken(receiver)
        const first = await receiver.next()
        const tail = await root.append(path, 1)
        goOn()
        const second = await receiver.next()
        equal(second.generation, first.generation + 1, "generation")
        equal(second.wake_id === first.wake_id, false, "the same wake")
        const [{ acked_offset, tail_offset }] = second.streams
        equal(acked_offset, first.streams[0].tail_offset, "acked so far")
        equal(tail_offset, tail, "the tail")
        await subscription.acked(path, tail)
      }, answers)()
    },

    "a callback acks, and is fenced when it comes again": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver)
      const delivery = await receiver.next()
      const acks = acksOf(delivery)
      // As a receiver does it: by what it was sent, and nothing else.
      const answer = await fetch(delivery.callback_url, {
        method: "POST",
        headers: { Authorization: `Bearer ${delivery.callback_token}` },
        body: JSON.stringify({
          wake_id: delivery.wake_id,
          generation: delivery.generation,
          acks,
          done: true,
        }),
      })
      equal([answer.status, await answer.json()], [200, { ok: true, next_wake: false }], "answer")
      equal((await subscription.link(path)).acked_offset, acks[0].offset, "acked")
      expect(await subscription.callback(delivery, { acks, done: true }), 409, "FENCED")
      expect(await subscription.callback(delivery), 409, "FENCED")
    }),

    "a callback that leaves some undone brings the next wake": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver)
      const first = await receiver.next()
      const tail = await root.append(path, 1)
      // Soon, what was appended is known.
      await sleep(500)
      const partly = { acks: acksOf(first), done: true }
      equal((await subscription.callback(first, partly)).json, { ok: true, next_wake: true }, "answer")
      const second = await receiver.next()
      equal([second.generation, second.streams[0].tail_offset], [2, tail], "the next wake")
      expect(await subscription.callback(first, partly), 409, "FENCED")
      const wholly = { acks: acksOf(second), done: true }
      equal((await subscription.callback(second, wholly)).json, { ok: true, next_wake: false }, "answer")
    }),

    "callbacks without done keep a lease for as long as it takes": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver, { lease_ttl_ms: 1000 })
      const delivery = await receiver.next()
      for (let beat = 0; beat < 7; beat++) {
        await sleep(400)
        const answer = expect(await subscription.callback(delivery), 200)
        equal(answer.json, { ok: true, next_wake: false }, `beat ${beat}`)
      }
      equal(receiver.deliveries.length, 1, "deliveries")
      expect(await subscription.callback(delivery, { acks: acksOf(delivery), done: true }), 200)
      await subscription.acked(path, delivery.streams[0].tail_offset)
    }),

    "a lease that ends fences its token and wakes again": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver, { lease_ttl_ms: 1000 })
      const first = await receiver.next()
      const second = await receiver.next()
      const after = second.at - first.at
      equal(after >= 950 && after < 5000, true, `again after ${after} ms`)
      equal(second.generation, first.generation + 1, "generation")
      equal(second.wake_id === first.wake_id, false, "the same wake")
      const late = { acks: acksOf(first), done: true }
      expect(await subscription.callback(first, late), 409, "FENCED")
      equal(isNothing((await subscription.link(path)).acked_offset), true, "nothing is acked")
      const mixed = { ...second, callback_token: first.callback_token }
      expect(await subscription.callback(mixed, late), 409, "FENCED")
      expect(await subscription.callback({ ...second, wake_id: first.wake_id }, late), 409, "FENCED")
      expect(await subscription.callback(second, { acks: acksOf(second), done: true }), 200)
    }),

    "a delivery that fails is tried again, signed anew": async () => {
      const failures = [{ status: 500, body: "no" }, null]
      const answers = () => (failures.length > 0 ? failures.shift() : DONE())
      await withReceiver(async (receiver) => {
        const { subscription, path } = await woken(receiver)
        const first = await receiver.next()
        await eventually("it has failed", async () => (await subscription.get()).json.status === "failed")
        const tail = await root.append(path, 1)
        const second = await receiver.next()
        const third = await receiver.next()
        const waits = [second.at - first.at, third.at - second.at]
        equal(waits[0] >= 750 && waits[0] < 3000, true, `the first retry after ${waits[0]} ms`)
        equal(waits[1] >= 1550 && waits[1] < 5000, true, `the second retry after ${waits[1]} ms`)
        const keys = await keysAt((await subscription.get()).json.webhook.signing.jwks_url)
        for (const one of [second, third]) {
          equal([one.wake_id, one.generation], [first.wake_id, first.generation], "the same wake")
          const { time } = judge(one, keys)
          equal(Math.abs(one.at / 1000 - time) < 2, true, `signed at ${time}, received ${one.at}`)
          equal(one.streams[0].tail_offset, tail, "the tail")
        }
        await subscription.acked(path, tail)
        equal((await subscription.get()).json.status, "active", "status")
      }, answers)()
    },

    "an answer that is no JSON is an answer": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver)
      const delivery = await receiver.next()
      await sleep(300)
      equal((await subscription.get()).json.status, "active", "status")
      equal(isNothing((await subscription.link(path)).acked_offset), true, "nothing is acked")
      expect(await subscription.callback(delivery, { acks: acksOf(delivery), done: true }), 200)
    }, () => ({ status: 200, body: "thank you" })),

    "only new data wakes": withReceiver(async (receiver) => {
      const { subscription, path } = await woken(receiver)
      const asProducer = { "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0" }
      const tail = await root.append(path, 1, asProducer)
      await subscription.acked(path, tail)
      const before = receiver.deliveries.length
      await root.append(path, 1, asProducer)
      equal(await root.tail(path), tail, "the tail after a duplicate")
      expect(await root.ask("POST", path, undefined, { "Stream-Closed": "true" }), 204)
      await root.create(`${path}-empty`)
      await root.create(`${path}/too-deep`, [0])
      await sleep(1000)
      equal(receiver.deliveries.length, before, "deliveries")
    }, DONE),

    "a deleted subscription delivers nothing, and its tokens are void": withReceiver(
      async (receiver) => {
        const { subscription, path } = await woken(receiver, { lease_ttl_ms: 1000 })
        const delivery = await receiver.next()
        expect(await subscription.delete(), 204)
        const done = { acks: acksOf(delivery), done: true }
        expect(await subscription.callback(delivery, done), 404, "SUBSCRIPTION_NOT_FOUND")
        expect(await subscription.delete(), 204)
        await root.append(path, 1)
        await sleep(1500)
        equal(receiver.deliveries.length, 1, "deliveries")
        // Another of its name has a cursor of its own, which the old token does not move.
        const place = path.split("/")[0]
        const next = await subscribe(receiver, { pattern: `${place}/*` }, subscription.id)
        const tail = await root.tail(path)
        equal((await next.link(path)).acked_offset, tail, "starts at the tail")
        await root.append(path, 2)
        const second = await receiver.next()
        const stale = await next.callback(delivery, done)
        equal([401, 404, 409].includes(stale.status), true, `${stale.status} ${stale.text}`)
        equal((await next.link(path)).acked_offset, tail, "the cursor")
        expect(await next.callback(second, { acks: acksOf(second), done: true }), 200)
      },
    ),
  }
}
