// The streams and the subscriptions below a root, with plain fetch: STREAM_ROOT says which root, and
// STREAM_AUTH what its requests say of themselves.
import { isDeepStrictEqual } from "node:util"
import { sleep } from "./checks.mjs"

const JSON_TYPE = "application/json"

/** What a stream's cursor is before anything was processed, in any form that a server may give it. */
const NOTHING = /^(-1|[0_]+)$/
export const isNothing = (offset) => NOTHING.test(offset)

/** A name that nobody has used. */
export const fresh = (what) => `${what}-${Math.random().toString(36).slice(2, 10)}`

/** Throws unless both are the same as JSON, whatever order their fields are in. */
export function equal(seen, expected, what) {
  const [a, b] = [seen, expected].map((value) => JSON.stringify(value) ?? "undefined")
  const [x, y] = [a, b].map((text) => (text === "undefined" ? undefined : JSON.parse(text)))
  if (!isDeepStrictEqual(x, y)) throw new Error(`${what}: ${a.slice(0, 500)} instead of ${b.slice(0, 500)}`)
}

/** Asks again and again until the answer is one, and gives it. */
export async function eventually(what, ask, millis = 10_000) {
  const end = Date.now() + millis
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > end) throw new Error(`not within ${millis} ms: ${what}`)
    await sleep(25)
  }
}

/** An answer whose body is read. */
async function read(answer) {
  const text = await answer.text()
  let json
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status: answer.status, headers: answer.headers, text, json, error: json?.error }
}

/** Throws unless the answer has this status, and this code where one is expected. */
export function expect(answer, status, code) {
  if (answer.status !== status || answer.error?.code !== code) {
    const expected = `${status}${code ? ` ${code}` : ""}`
    throw new Error(`${answer.status} ${answer.text.slice(0, 400)} instead of ${expected}`)
  }
  return answer
}

/** The root that streams and subscriptions of the checks are below. */
export class Root {
  constructor(server) {
    this.url = process.env.STREAM_ROOT ?? `${server}/v1/stream`
    this.headers = process.env.STREAM_AUTH ? { Authorization: process.env.STREAM_AUTH } : {}
  }

  /** A request below the root. A body that is no text is sent as JSON. */
  async ask(method, path, body, headers = {}) {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body)
    const answer = await fetch(`${this.url}/${path}`, {
      method,
      // workerd ends connections that were idle for five seconds, which is just when Node's fetch, by a
      // clock that ticks once a second, is about to give them up: it might still send on one.
      headers: { Connection: "close", ...(text !== undefined && { "Content-Type": JSON_TYPE }), ...this.headers, ...headers },
      body: text,
      redirect: "manual",
    }).catch((error) => {
      throw new Error(`${method} ${path}: ${error.cause ?? error}`)
    })
    return read(answer)
  }

  /** Creates a JSON stream of these messages. */
  async create(path, messages = [], headers) {
    const body = messages.length > 0 ? JSON.stringify(messages) : undefined
    expect(await this.ask("PUT", path, body, { "Content-Type": JSON_TYPE, ...headers }), 201)
  }

  /** Appends a message, and gives where the stream ends then. */
  async append(path, message, headers) {
    const answer = await this.ask("POST", path, JSON.stringify([message]), headers)
    if (answer.status !== 200 && answer.status !== 204) throw new Error(`${answer.status}: ${answer.text}`)
    return answer.headers.get("stream-next-offset")
  }

  /** Where a stream ends. */
  async tail(path) {
    const answer = expect(await this.ask("HEAD", path), 200)
    return answer.headers.get("stream-next-offset")
  }

  /** What is in a stream after an offset, and where that ends. */
  async read(path, offset = "-1") {
    const messages = []
    for (;;) {
      const answer = expect(await this.ask("GET", `${path}?offset=${offset}`), 200)
      messages.push(...answer.json)
      offset = answer.headers.get("stream-next-offset")
      if (answer.headers.get("stream-up-to-date")) return { messages, offset }
    }
  }

  /** A subscription of an id, which need not be there. */
  subscription(id = fresh("sub")) {
    return new Subscription(this, id)
  }

  /** A new subscription. */
  async subscribe(config, id) {
    const subscription = this.subscription(id)
    expect(await subscription.put(config), 201)
    return subscription
  }
}

/** What may be asked of one subscription. */
export class Subscription {
  constructor(root, id) {
    this.root = root
    this.id = id
    this.path = `__ds/subscriptions/${encodeURIComponent(id)}`
  }

  put = (config) => this.root.ask("PUT", this.path, config)
  get = () => this.root.ask("GET", this.path)
  delete = () => this.root.ask("DELETE", this.path)
  add = (streams) => this.root.ask("POST", `${this.path}/streams`, { streams })
  remove = (path) => this.root.ask("DELETE", `${this.path}/streams/${encodeURIComponent(path)}`)
  claim = (worker) => this.root.ask("POST", `${this.path}/claim`, { worker })

  /** A request with nothing but the token of a wake. */
  withToken(action, token, body) {
    return this.root.ask("POST", `${this.path}/${action}`, body, { Authorization: `Bearer ${token}` })
  }

  /** Says to what a claim has come. */
  ack = ({ token, wake_id, generation }, more) =>
    this.withToken("ack", token, { wake_id, generation, ...more })

  release = ({ token, wake_id, generation }) =>
    this.withToken("release", token, { wake_id, generation })

  /** The same for what a receiver was sent. */
  callback = ({ callback_token, wake_id, generation }, more) =>
    this.withToken("callback", callback_token, { wake_id, generation, ...more })

  /** What it has of a stream; undefined where it is not linked. */
  async link(path) {
    const { json } = expect(await this.get(), 200)
    return json.streams.find((link) => link.path === path)
  }

  /** Its links as `path type`, in order. */
  async links() {
    const { json } = expect(await this.get(), 200)
    return json.streams.map(({ path, link_type }) => `${path} ${link_type}`).toSorted()
  }

  /** A claim as soon as there is something to do and nobody at it. */
  async claimed(worker, millis) {
    return eventually(`a claim of ${this.id}`, async () => {
      const answer = await this.claim(worker)
      if (answer.status === 200) return answer.json
      expect(answer, 409, answer.error?.code)
    }, millis)
  }

  /** Waits until a stream is processed up to this offset. */
  acked(path, offset, millis) {
    return eventually(
      `${path} is acked up to ${offset}`,
      async () => (await this.link(path))?.acked_offset === offset,
      millis,
    )
  }
}

/** Acks of all that a wake says is pending. */
export const acksOf = ({ streams }) =>
  streams
    .filter(({ has_pending }) => has_pending)
    .map(({ path, tail_offset }) => ({ stream: path, offset: tail_offset }))
