// What is refused of subscriptions of type copy, and that nothing is left of it.
import { sleep } from "./checks.mjs"
import { Root, equal, eventually, expect, fresh } from "./control.mjs"
import { arrived, copying, holds, place, send } from "./copies.mjs"

/** Throws unless a text holds all of these. */
function says(text, ...parts) {
  for (const part of parts) if (!text.includes(part)) throw new Error(`no ${part} in: ${text}`)
}

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  /** Refuses a configuration, and leaves nothing behind. */
  const refuses = async (config, status, code, ...parts) => {
    const subscription = root.subscription()
    const refused = expect(await subscription.put({ type: "copy", ...config }), status, code)
    says(refused.error.message, ...parts)
    expect(await subscription.get(), 404, "SUBSCRIPTION_NOT_FOUND")
  }

  return {
    "a configuration that is none is refused, and the field is named": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const right = { target_stream: target, streams: [of("a")] }
      const wakes = { type: "pull-wake", wake_stream: of("wakes"), streams: [of("a")] }
      const hook = { type: "webhook", webhook: { url: "https://worker.example/" }, streams: [of("a")] }
      for (const [field, config] of [
        ["target_stream", { streams: [of("a")] }],
        ["target_stream", { ...right, target_stream: "" }],
        ["target_stream", { ...right, target_stream: 7 }],
        ["target_stream", { ...right, target_stream: "a//b" }],
        ["target_stream", { ...right, target_stream: "__ds/x" }],
        ["streams", { target_stream: target }],
        ["streams", { ...right, streams: [] }],
        ["streams", { ...right, streams: [of("a"), target] }],
        ["streams", { ...right, streams: [`/${target}/`] }],
        ["streams[1]", { ...right, streams: [of("a"), 7] }],
        ["streams", { ...right, streams: of("a") }],
        ["pattern", { ...right, pattern: 7 }],
        ["from", { ...right, from: "then" }],
        ["from", { ...right, from: 0 }],
        ["envelope", { ...right, envelope: "yes" }],
        ["envelope", { ...right, envelope: 1 }],
        ["webhook", { ...right, webhook: { url: "https://worker.example/" } }],
        ["wake_stream", { ...right, wake_stream: of("wakes") }],
        ["lease_ttl_ms", { ...right, lease_ttl_ms: 5000 }],
        ["to", { ...right, to: target }],
        ["type", { ...right, type: "copies" }],
        ...[wakes, hook].flatMap((other) => [
          ["target_stream", { ...other, target_stream: target }],
          ["from", { ...other, from: "start" }],
          ["envelope", { ...other, envelope: true }],
        ]),
      ]) {
        await refuses(config, 400, "INVALID_REQUEST", field)
      }
      equal((await root.read(target)).messages, [], "the target")
    },

    "a target that is missing or closed is refused": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const streams = [of("a")]
      await refuses({ target_stream: of("none"), streams }, 404, "TARGET_NOT_FOUND", of("none"))
      expect(await root.ask("POST", target, undefined, { "Stream-Closed": "true" }), 204)
      await refuses({ target_stream: target, streams }, 409, "TARGET_CLOSED", target, "closed")
    },

    "a stream of another type is refused by name, and passed over by pattern": async () => {
      const { name, target, of } = await place(root)
      await root.create(of("a"))
      await send(root, "PUT", of("text"), "text/plain", "x")
      const both = ["text/plain", "application/json"]
      const named = { target_stream: target, streams: [of("a"), of("text")] }
      const subscription = root.subscription()
      const refused = await subscription.put({ type: "copy", ...named })
      equal([400, 409].includes(refused.status), true, `${refused.status} ${refused.text}`)
      says(refused.error.message, "streams", of("text"), ...both)
      expect(await subscription.get(), 404, "SUBSCRIPTION_NOT_FOUND")

      const passing = await copying(root, target, { pattern: `${name}/*`, from: "start" })
      says((await passing.link(of("text"))).refused, ...both)
      equal((await passing.link(of("a"))).refused, undefined, "the other")
      await send(root, "PUT", of("late"), "text/plain", "x")
      await eventually("what comes later is passed over", async () => (await passing.link(of("late")))?.refused)
      const added = await passing.add([of("text")])
      equal([400, 409].includes(added.status), true, `${added.status} ${added.text}`)
      says(added.error.message, "streams", ...both)
      // One that was named before it was there.
      const waiting = await copying(root, target, { streams: [of("later")] })
      await send(root, "PUT", of("later"), "text/plain", "x")
      await eventually("it is passed over", async () => (await waiting.link(of("later")))?.refused)
      await root.append(of("a"), 1)
      await holds(root, target, [1], "of the right type")
      // In envelopes there is place for all types, but only a JSON stream has place for envelopes.
      await send(root, "PUT", of("plain"), "text/plain")
      const envelope = { target_stream: of("plain"), streams: [of("a")], envelope: true }
      await refuses(envelope, 400, "INVALID_REQUEST", "envelope", "text/plain")
    },

    "nothing goes in circles": async () => {
      const { name, target, of } = await place(root)
      const [a, b, c] = [of("a"), of("b"), of("c")]
      for (const path of [a, b, c]) await root.create(path)
      const first = await copying(root, b, { streams: [a] })
      // A target is no source, and a source that somebody has named is no target.
      await refuses({ target_stream: c, streams: [b] }, 409, "SOURCE_IS_TARGET", b)
      await refuses({ target_stream: a, streams: [c] }, 409, "TARGET_IS_SOURCE", a)
      expect(await first.add([b]), 400, "INVALID_REQUEST")
      const other = await copying(root, target, { streams: [c] })
      const added = expect(await other.add([b]), 409, "SOURCE_IS_TARGET")
      says(added.error.message, b)
      equal(await other.links(), [`${c} explicit`], "links")
      // Patterns pass over targets, and their own first of all.
      const everything = await copying(root, b, { pattern: `${name}/*` })
      await root.append(a, "a")
      await root.append(c, "c")
      await arrived(root, target, 1)
      equal((await arrived(root, b, 3)).toSorted(), ["a", "a", "c"], "copies")
      await root.append(b, "b")
      await sleep(600)
      equal((await root.read(b)).messages.length, 4, "all there is")
      equal((await root.read(target)).messages, ["c"], "the other target")
      expect(await everything.delete(), 204)
    },

    "what a pattern alone is about may become a target, and is copied no more": async () => {
      const { name, target, of } = await place(root)
      const [a, b] = [of("a"), of("b")]
      for (const path of [a, b]) await root.create(path)
      await copying(root, target, { pattern: `${name}/*` })
      await root.append(b, 1)
      await arrived(root, target, 1)
      await copying(root, b, { streams: [a] })
      await root.append(b, 2)
      await root.append(a, 3)
      await arrived(root, b, 3)
      await holds(root, target, [1, 3], "of the streams that are no targets")
    },

    "the same configuration is the same subscription, and another one is refused": async () => {
      const { name, target, of } = await place(root)
      for (const path of ["a", "b"]) await root.create(of(path))
      const config = {
        type: "copy",
        target_stream: target,
        streams: [of("a"), of("b")],
        pattern: `${name}/x/*`,
        description: "same",
      }
      const subscription = await root.subscribe(config)
      for (const other of [
        {},
        { from: "now", envelope: false },
        { target_stream: `/${target}/`, streams: [of("b"), `/${of("a")}/`, of("a")] },
        { webhook: null, wake_stream: null, lease_ttl_ms: null },
      ]) {
        expect(await subscription.put({ ...config, ...other }), 200)
      }
      await root.create(of("inbox"))
      for (const other of [
        { target_stream: of("inbox") },
        { from: "start" },
        { envelope: true },
        { streams: [of("a")] },
        { pattern: undefined },
        { description: "other" },
        { type: "pull-wake", wake_stream: target, target_stream: undefined },
      ]) {
        expect(await subscription.put({ ...config, ...other }), 409, "SUBSCRIPTION_ALREADY_EXISTS")
      }
      const { json } = expect(await subscription.get(), 200)
      equal(
        [json.type, json.target_stream, json.from, json.envelope, json.status, json.parked],
        ["copy", target, "now", false, "active", false],
        "what it says",
      )
      equal([json.webhook, json.wake_stream, json.last_error], [null, null, null], "what it has not")
    },

    "nobody claims a copy, and nobody is woken by one": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const subscription = await copying(root, target, { streams: [of("a")] })
      await root.append(of("a"), 1)
      await arrived(root, target, 1)
      const wake = { token: "x.y.z", callback_token: "x.y.z", wake_id: "w", generation: 1 }
      for (const asked of [
        () => subscription.claim("worker"),
        () => subscription.ack(wake),
        () => subscription.release(wake),
        () => subscription.callback(wake),
      ]) {
        const refused = await asked()
        equal([400, 409].includes(refused.status), true, `${refused.status} ${refused.text}`)
        says(refused.error.message, "copy")
      }
      const { json } = await subscription.get()
      equal([json.wake_id, json.phase, json.pending], [null, "idle", 0], "wakes")
    },

    "who asks for too much or of none is told so": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      const subscription = await copying(root, target, { streams: [of("a")] })
      for (const body of ["{", "[]", '{"streams":[]}', '{"streams":["a//b"]}', '{"paths":["a"]}']) {
        const add = await root.ask("POST", `${subscription.path}/streams`, body)
        expect(add, 400, "INVALID_REQUEST")
      }
      expect(await subscription.add(Array(11_000).fill("a").map((a, n) => `${a}${n}`)), 413, "too_large")
      expect(await root.subscription().add([of("a")]), 404, "SUBSCRIPTION_NOT_FOUND")
      equal(await subscription.links(), [`${of("a")} explicit`], "links")
      expect(await subscription.delete(), 204)
      expect(await subscription.delete(), 204)
      equal((await root.tail(target)) !== undefined, true, "the target stays")
      expect(await root.ask("HEAD", of("a")), 200)
      equal((await fetch(`${root.url}/${fresh("x")}`, { headers: root.headers })).status, 404, "none")
    },
  }
}
