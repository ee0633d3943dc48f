// What Electric's agents ask of subscriptions: the requests that their server's client sends, with
// its way to put URLs together and its idea of which answers are harmless.
import { createHash } from "node:crypto"
import { DurableStream, stream } from "@durable-streams/client"
import { numbers } from "./checks.mjs"
import { Root, equal, eventually, fresh } from "./control.mjs"
import { DONE, Receiver, judge, keysAt } from "./receiver.mjs"

const JSON_TYPE = "application/json"
const bare = (path) => path.replace(/^\/+/, "").replace(/\/+$/, "")

/** Their client of one root, with one token for all but acks and releases. */
class Client {
  constructor({ url, headers }) {
    this.base = url
    this.headers = headers
  }

  urlOf(...segments) {
    const url = new URL(this.base)
    const path = segments.map((segment) => encodeURIComponent(segment)).join("/")
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/__ds/subscriptions/${path}`
    return url.toString()
  }

  streamUrl(path) {
    const url = new URL(this.base)
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`
    return url.toString()
  }

  async ask(method, url, body, token) {
    const headers = new Headers(this.headers)
    if (body) headers.set("content-type", JSON_TYPE)
    if (token) headers.set("authorization", `Bearer ${token}`)
    const answer = await fetch(url, {
      method,
      headers,
      body: body && JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok && answer.status !== 404) {
      const error = new Error(`${method} ${url}: ${answer.status} ${text}`)
      throw Object.assign(error, { status: answer.status, code: JSON.parse(text).error.code })
    }
    return { status: answer.status, json: text === "" ? {} : JSON.parse(text) }
  }

  async put(id, { pattern, streams, wake_stream, ...input }) {
    const body = {
      ...input,
      pattern: pattern === undefined ? undefined : bare(pattern),
      streams: streams?.map(bare),
      wake_stream: wake_stream === undefined ? undefined : bare(wake_stream),
    }
    return (await this.ask("PUT", this.urlOf(id), body)).json
  }

  async get(id) {
    const { status, json } = await this.ask("GET", this.urlOf(id))
    return status === 404 ? null : json
  }

  delete = (id) => this.ask("DELETE", this.urlOf(id))
  add = (id, streams) => this.ask("POST", this.urlOf(id, "streams"), { streams: streams.map(bare) })
  remove = (id, path) => this.ask("DELETE", this.urlOf(id, "streams", bare(path)))

  /** A claim, or why there is nothing to do; whatever else happens is thrown. */
  async claim(id, worker) {
    try {
      const { status, json } = await this.ask("POST", this.urlOf(id, "claim"), { worker })
      return status === 204 || status === 404 ? null : json
    } catch (error) {
      if (error.status === 409 && ["NO_PENDING_WORK", "ALREADY_CLAIMED"].includes(error.code)) return error.code
      throw error
    }
  }

  ack = (id, token, body) => this.ask("POST", this.urlOf(id, "ack"), body, token)
  release = (id, token, body) => this.ask("POST", this.urlOf(id, "release"), body, token)

  handle = (path) =>
    new DurableStream({ url: this.streamUrl(path), headers: this.headers, contentType: JSON_TYPE, batching: false })
  create = (path, body) =>
    DurableStream.create({ url: this.streamUrl(path), headers: this.headers, contentType: JSON_TYPE, body })

  /** Creates a stream unless it is there. */
  async ensure(path) {
    const { exists } = await DurableStream.head({ url: this.streamUrl(path), headers: this.headers }).catch(
      (error) => ({ exists: error.status !== 404 && error.code !== "NOT_FOUND" }),
    )
    if (!exists) await this.create(path)
  }

  async append(path, message) {
    const handle = this.handle(path)
    await handle.append(JSON.stringify(message))
    return (await handle.head()).offset
  }

  async read(path, offset = "-1") {
    const res = await stream({ url: this.streamUrl(path), headers: this.headers, offset, live: false })
    return res.json()
  }

  /** A fork of all of a stream, or from an offset on. */
  async fork(path, source, headers = {}) {
    const answer = await fetch(this.streamUrl(path), {
      method: "PUT",
      headers: {
        "content-type": JSON_TYPE,
        "Stream-Forked-From": new URL(this.streamUrl(source)).pathname,
        ...this.headers,
        ...headers,
      },
    })
    if (!answer.ok) throw new Error(`fork: ${answer.status} ${await answer.text()}`)
  }
}

/** The id of what wakes a runner for one entity. */
const idFor = (runner, entity) =>
  `runner:${runner}:${createHash("sha256").update(entity).digest("hex").slice(0, 16)}`

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const client = new Client(root)
  const entityOf = (place) => `/${place}/horton/${fresh("entity")}`

  return {
    "a runner is woken for its entities, works, and is woken again": async () => {
      const place = fresh("agents")
      const runner = fresh("runner")
      const wakes = `/${place}-runners/${runner}/wake`
      const entity = `${entityOf(place)}/main`
      const id = idFor(runner, entity)
      await client.ensure(wakes)
      await client.ensure(wakes)
      equal(await client.get(id), null, "not there yet")
      await client.create(entity)
      const config = { type: "pull-wake", wake_stream: wakes, streams: [entity], lease_ttl_ms: 30_000 }
      const made = await client.put(id, { ...config, description: `Runner ${runner}` })
      equal([made.subscription_id, made.wake_stream], [id, bare(wakes)], "what was made")
      await client.put(id, { ...config, description: `Runner ${runner}` })
      equal(await client.claim(id, runner), "NO_PENDING_WORK", "nothing to do")
      for (const round of numbers(1, 4)) {
        const offset = await client.append(entity, { round })
        const events = await eventually("the event", async () => {
          const events = await client.read(wakes)
          return events.length >= round && events
        })
        const { type, subscription_id, stream: woken, generation } = events.at(-1)
        equal([type, subscription_id, woken, generation], ["wake", id, bare(entity), round], "event")
        const claim = await client.claim(id, runner)
        equal(await client.claim(id, "another"), "ALREADY_CLAIMED", "a second runner")
        const [{ path, acked_offset, tail_offset, has_pending }] = claim.streams
        equal([path, tail_offset, has_pending], [bare(entity), offset, true], "stream")
        equal(await client.read(entity, acked_offset), [{ round }], "what is pending")
        // A heartbeat has an empty list of acks.
        const wake = { wake_id: claim.wake_id, generation: claim.generation }
        equal((await client.ack(id, claim.token, { ...wake, acks: [] })).json.ok, true, "heartbeat")
        const acks = [{ stream: bare(entity), offset: tail_offset }]
        const { json } = await client.ack(id, claim.token, { ...wake, acks, done: true })
        equal(json, { ok: true, next_wake: false }, "done")
        const late = await client.ack(id, claim.token, { ...wake, acks: [], done: true }).catch((error) => error)
        equal(late.code, "FENCED", "done once more")
      }
      await client.delete(id)
      await client.delete(id)
      equal([await client.get(id), await client.claim(id, runner)], [null, null], "afterwards")
    },

    "entities come and go, by names in any encoding": async () => {
      const place = fresh("agents")
      const id = `runner:${place}`
      const wakes = `/${place}-wake`
      await client.ensure(wakes)
      const entities = numbers(0, 3).map(() => `${entityOf(place)}/main`)
      for (const entity of entities) await client.create(entity, JSON.stringify({ made: true }))
      await client.put(id, { type: "pull-wake", wake_stream: wakes, streams: [entities[0]] })
      await client.add(id, entities.slice(1))
      await client.add(id, entities)
      const paths = async () => (await client.get(id)).streams.map(({ path }) => path).toSorted()
      equal(await paths(), entities.map(bare).toSorted(), "all of them")
      await client.remove(id, entities[1])
      await client.remove(id, entities[1])
      equal(await paths(), [entities[0], entities[2]].map(bare).toSorted(), "without one")
      await client.append(entities[1], {})
      equal(await client.claim(id, "r"), "NO_PENDING_WORK", "the one that went")
      await client.append(entities[2], {})
      const claim = await client.claim(id, "r")
      const pending = claim.streams.filter(({ has_pending }) => has_pending)
      equal(pending.map(({ path }) => path), [bare(entities[2])], "pending")
      const { wake_id, generation, token } = claim
      equal((await client.release(id, token, { wake_id, generation })).status, 204, "release")
      const again = await client.claim(id, "r")
      equal(again.generation > generation, true, "generations")
    },

    "a webhook for a type of entities is verified, answered, and called back": async () => {
      const receiver = await Receiver.start()
      try {
        const place = fresh("agents")
        const id = `${place}-handler`
        const config = { type: "webhook", pattern: `/${place}/*/*/main`, webhook: { url: receiver.url } }
        await client.put(id, { ...config, description: "a handler" })
        const entity = `${entityOf(place)}/main`
        await client.create(entity, JSON.stringify([{ first: true }]))
        const delivery = await receiver.next()
        // They send their own token for the keys, too, and take none of another kind.
        const jwks = `${root.url}/__ds/jwks.json`
        const { json } = await client.ask("GET", jwks)
        equal(json.keys.every(({ kty, crv }) => kty === "OKP" && crv === "Ed25519"), true, "keys")
        judge(delivery, await keysAt(jwks))
        const [primary] = delivery.streams.filter(({ has_pending }) => has_pending)
        equal(primary.path, bare(entity), "the stream")
        const body = {
          wake_id: delivery.wake_id,
          generation: delivery.generation,
          acks: [{ stream: primary.path, offset: primary.tail_offset }],
          done: true,
        }
        const done = await client.ask("POST", delivery.callback_url, body, delivery.callback_token)
        equal(done.json, { ok: true, next_wake: false }, "callback")
        // One whose entity is stopped is answered at once.
        receiver.answers = DONE
        const offset = await client.append(entity, { second: true })
        await receiver.next()
        await root.subscription(id).acked(bare(entity), offset)
        await client.delete(id)
      } finally {
        receiver.stop()
      }
    },

    "a fork of an entity is woken for what is its own": async () => {
      const place = fresh("agents")
      const id = `runner:${place}`
      const wakes = `/${place}-wake`
      await client.ensure(wakes)
      const source = `${entityOf(place)}/main`
      await client.create(source)
      for (const n of numbers(0, 3)) await client.append(source, n)
      await client.put(id, { type: "pull-wake", wake_stream: wakes, pattern: `/${place}/**` })
      equal(await client.claim(id, "r"), "NO_PENDING_WORK", "nothing to do")
      const whole = `${entityOf(place)}/main`
      const empty = `${entityOf(place)}/main`
      await client.fork(whole, source)
      await client.fork(empty, source, { "Stream-Fork-Offset": "0000000000000000_0000000000000000" })
      equal(await client.read(whole), [0, 1, 2], "a fork of all")
      equal(await client.read(empty), [], "a fork from the start")
      const offset = await client.append(empty, "own")
      const claim = await eventually("a claim", async () => {
        const claim = await client.claim(id, "r")
        return typeof claim === "object" && claim
      })
      const mine = claim.streams.find(({ path }) => path === bare(empty))
      equal([mine.tail_offset, mine.has_pending], [offset, true], "the fork's tail")
      equal(await client.read(empty, mine.acked_offset), ["own"], "what is pending")
    },

    "offsets sort as their text, padded to 24 characters": async () => {
      const place = fresh("agents")
      const path = `/${place}/sorted`
      await client.create(path)
      const offsets = ["-1"]
      for (const n of numbers(0, 15)) offsets.push(await client.append(path, "x".repeat(n * 50)))
      const padded = offsets.map((offset) => offset.padStart(24, "0"))
      equal(padded.slice(1).toSorted(), padded.slice(1), "order")
    },
  }
}
