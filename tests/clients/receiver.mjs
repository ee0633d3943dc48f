// A receiver of webhooks with nothing but Node's own HTTP and cryptography.
import { createPublicKey, verify } from "node:crypto"
import { createServer } from "node:http"
import { eventually } from "./control.mjs"

/** How old a delivery may be, in milliseconds. */
export const REPLAY_WINDOW = 5 * 60_000

const SIGNATURE = /^t=(\d+),kid=([^,]+),ed25519=([A-Za-z0-9_-]+)$/

/** The keys that a server has published, by id. */
export async function keysAt(url) {
  // Nobody's token: the keys are everybody's.
  const answer = await fetch(url)
  if (answer.status !== 200) throw new Error(`${answer.status} at ${url}`)
  const { keys } = await answer.json()
  return new Map(keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]))
}

/** Throws unless one of the keys has signed this delivery, not long before `now`. */
export function judge({ raw, signature }, keys, now = Date.now()) {
  const parts = SIGNATURE.exec(signature ?? "")
  if (!parts) throw new Error(`no signature: ${signature}`)
  const [, time, kid, encoded] = parts
  if (Math.abs(now - time * 1000) > REPLAY_WINDOW) throw new Error("an old delivery")
  const key = keys.get(kid)
  if (!key) throw new Error(`an unknown key: ${kid}`)
  const signed = Buffer.concat([Buffer.from(`${time}.`), raw])
  if (!verify(null, signed, key, Buffer.from(encoded, "base64url"))) {
    throw new Error("a wrong signature")
  }
  return { time: Number(time), kid }
}

const RECEIVED = () => ({ status: 200, body: {} })
export const DONE = () => ({ status: 200, body: { done: true } })

/** A server for webhooks. What it answers, `answers` says: a function of the delivery. */
export class Receiver {
  deliveries = []
  #taken = 0

  static async start(answers = RECEIVED) {
    const receiver = new Receiver()
    receiver.answers = answers
    receiver.server = createServer((request, response) => receiver.#receive(request, response))
    await new Promise((resolve) => receiver.server.listen(0, "127.0.0.1", resolve))
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/hook`
    return receiver
  }

  async #receive(request, response) {
    const parts = []
    for await (const part of request) parts.push(part)
    const raw = Buffer.concat(parts)
    const delivery = {
      at: Date.now(),
      method: request.method,
      type: request.headers["content-type"],
      signature: request.headers["webhook-signature"],
      raw,
      ...JSON.parse(raw),
    }
    this.deliveries.push(delivery)
    const answer = await this.answers(delivery)
    if (!answer) return request.socket.destroy()
    const { status, body, headers } = answer
    response.writeHead(status, { "Content-Type": "application/json", ...headers })
    response.end(typeof body === "string" ? body : JSON.stringify(body))
  }

  /** The next delivery that nobody has asked for yet. */
  async next(millis) {
    const next = await eventually("a delivery", async () => this.deliveries[this.#taken], millis)
    this.#taken += 1
    return next
  }

  stop() {
    this.server.closeAllConnections()
    this.server.close()
  }
}

/** Runs a check with a receiver of its own. */
export const withReceiver = (check, answers) => async () => {
  const receiver = await Receiver.start(answers)
  try {
    return await check(receiver)
  } finally {
    receiver.stop()
  }
}
