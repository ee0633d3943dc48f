// What subscriptions refuse, and in which words: the table of errors of the protocol, and of what
// every server of it does.
import { Root, acksOf, equal, expect, fresh } from "./control.mjs"
import { Receiver } from "./receiver.mjs"

const INVALID = [400, "INVALID_REQUEST"]
const NO_TOKEN = [401, "TOKEN_INVALID"]
const NOT_FOUND = [404, "SUBSCRIPTION_NOT_FOUND"]

/** URLs that no server calls. */
const REJECTED = [
  "http://10.0.0.1/hook",
  "http://example.com/hook",
  "http://192.168.1.1/hook",
  "http://169.254.169.254/latest/meta-data",
  "http://[::1]/hook",
  "http://0.0.0.0/hook",
  "http://127.0.0.1.example.com/hook",
  "https://localhost/hook",
  "https://LOCALHOST:8443/hook",
  "https://0.0.0.0/hook",
  "https://10.1.2.3/hook",
  "https://127.0.0.1/hook",
  "https://127.255.0.9/hook",
  "https://169.254.1.1/hook",
  "https://172.16.0.1/hook",
  "https://172.31.255.255/hook",
  "https://192.168.0.1/hook",
  // The same address in other words.
  "https://2130706433/hook",
  "https://0x7f.1/hook",
  "https://0177.0.0.1/hook",
  "ftp://example.com/hook",
  "file:///etc/passwd",
  "javascript:alert(1)",
  "example.com/hook",
  "/hook",
  "not a URL",
  "https://",
]

/** URLs that any server may call. */
const ACCEPTED = [
  "https://example.com/hook",
  "https://example.com:8443/a/b?c=d",
  "https://8.8.8.8/hook",
  "https://172.15.0.1/hook",
  "https://172.32.0.1/hook",
  "https://192.169.0.1/hook",
]

/** Asks for each row and collects what is not as it says. */
export async function rows(table) {
  const wrong = []
  for (const [what, [ask, [status, code]]] of Object.entries(table)) {
    const answer = await ask()
    const isSo = answer.status === status && (code === undefined || answer.error?.code === code)
    const isTold = code === undefined || typeof answer.error?.message === "string" || status === 409
    if (!isSo || !isTold) wrong.push(`${what}: ${answer.status} ${answer.text.slice(0, 150)}`)
  }
  equal(wrong, [], "not as expected")
}

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const good = () => ({ type: "pull-wake", streams: [fresh("refused")], wake_stream: fresh("refused") })
  const hook = (url) => ({ type: "webhook", streams: [fresh("refused")], webhook: { url } })
  const put = (body) => () => root.subscription().put(body)
  const without = (field) => ({ ...good(), [field]: undefined })
  const withField = (fields) => put({ ...good(), ...fields })

  return {
    "a configuration that is none is refused": async () => {
      const name = fresh("refused")
      const table = {
        "no JSON": [put("{"), INVALID],
        "no object": [put("[]"), INVALID],
        "a text": [put('"x"'), INVALID],
        "nothing": [put(""), INVALID],
        "no type": [put(without("type")), INVALID],
        "another type": [withField({ type: "push" }), INVALID],
        "neither pattern nor streams": [put(without("streams")), INVALID],
        "empty pattern and streams": [withField({ pattern: "", streams: [] }), INVALID],
        "streams that are no text": [withField({ streams: [name, 1] }), INVALID],
        "no wake stream": [put(without("wake_stream")), INVALID],
        "an empty wake stream": [withField({ wake_stream: "" }), INVALID],
        "no webhook": [withField({ type: "webhook" }), INVALID],
        "a webhook without a URL": [withField({ type: "webhook", webhook: {} }), INVALID],
        "an empty URL": [withField({ type: "webhook", webhook: { url: "" } }), INVALID],
        "a URL that is no text": [withField({ type: "webhook", webhook: { url: 1 } }), INVALID],
        "a lease too short": [withField({ lease_ttl_ms: 999 }), INVALID],
        "a lease too long": [withField({ lease_ttl_ms: 600_001 }), INVALID],
        "a lease with a fraction": [withField({ lease_ttl_ms: 1000.5 }), INVALID],
        "a lease as a text": [withField({ lease_ttl_ms: "1000" }), INVALID],
        "a lease below zero": [withField({ lease_ttl_ms: -1000 }), INVALID],
        "the shortest lease": [withField({ lease_ttl_ms: 1000 }), [201]],
        "the longest lease": [withField({ lease_ttl_ms: 600_000 }), [201]],
      }
      await rows(table)
    },

    "URLs of this network and of no web server are rejected": async () => {
      const rejected = REJECTED.map((url) => [url, [put(hook(url)), [400, "WEBHOOK_URL_REJECTED"]]])
      const accepted = ACCEPTED.map((url) => [url, [put(hook(url)), [201]]])
      await rows(Object.fromEntries([...rejected, ...accepted]))
    },

    "who is not there cannot be asked": async () => {
      const none = root.subscription()
      const wake = { token: "x.y.z", callback_token: "x.y.z", wake_id: "w", generation: 1 }
      const table = {
        "get": [() => none.get(), NOT_FOUND],
        "delete": [() => none.delete(), [204]],
        "add": [() => none.add(["a"]), NOT_FOUND],
        "remove": [() => none.remove("a"), NOT_FOUND],
        "claim": [() => none.claim("worker"), NOT_FOUND],
        "callback": [() => none.callback(wake), NOT_FOUND],
        "ack": [() => none.ack(wake), NOT_FOUND],
        "release": [() => none.release(wake), NOT_FOUND],
        "another route": [() => root.ask("GET", "__ds/nothing"), NOT_FOUND],
        "below a subscription": [() => root.ask("GET", `${none.path}/nothing`), NOT_FOUND],
        "keys are not written": [() => root.ask("POST", "__ds/jwks.json"), [405]],
        "no such method": [() => root.ask("POST", none.path), [405]],
        "streams are not read there": [() => root.ask("GET", `${none.path}/streams`), [405]],
      }
      await rows(table)
    },

    "a body that is none is refused, and changes nothing": async () => {
      const config = good()
      const subscription = await root.subscribe(config)
      const [path] = config.streams
      await root.create(path, [0])
      const claim = await subscription.claimed("worker")
      const { wake_id, generation } = claim
      const acks = acksOf(claim)
      const ack = (body) => () => subscription.withToken("ack", claim.token, body)
      const ask = (action, body, headers) => () =>
        root.ask("POST", `${subscription.path}/${action}`, body, { Authorization: "", ...headers })
      const table = {
        "streams, no JSON": [() => root.ask("POST", `${subscription.path}/streams`, "{"), INVALID],
        "streams, nothing": [() => root.ask("POST", `${subscription.path}/streams`, ""), INVALID],
        "streams, no list": [() => subscription.add("a"), INVALID],
        "streams, an empty text": [() => subscription.add([""]), INVALID],
        "streams, a number": [() => subscription.add([1]), INVALID],
        "claim, nothing": [() => root.ask("POST", `${subscription.path}/claim`, ""), INVALID],
        "claim, no JSON": [() => root.ask("POST", `${subscription.path}/claim`, "{"), INVALID],
        "claim, an empty worker": [() => subscription.claim(""), INVALID],
        "claim, a number": [() => subscription.claim(1), INVALID],
        "ack, no JSON": [ack("{"), INVALID],
        "ack, no token": [ask("ack", { wake_id, generation }), NO_TOKEN],
        "ack, another scheme": [
          ask("ack", { wake_id, generation }, { Authorization: `Basic ${claim.token}` }),
          NO_TOKEN,
        ],
        "release, no token": [ask("release", { wake_id, generation }), NO_TOKEN],
        "callback, no token": [ask("callback", { wake_id, generation }), NO_TOKEN],
        // Nor does a token count that is not where tokens belong.
        "ack, the token in the URL": [
          ask(`ack?token=${claim.token}`, { wake_id, generation }),
          NO_TOKEN,
        ],
        "ack, an unknown stream": [
          ack({ wake_id, generation, acks: [{ ...acks[0], stream: "other" }] }),
          [409, "INVALID_OFFSET"],
        ],
        "ack, another wake": [ack({ wake_id: "w_other", generation, acks }), [409, "FENCED"]],
        "ack, another generation": [ack({ wake_id, generation: generation + 1, acks }), [409, "FENCED"]],
      }
      await rows(table)
      const answer = expect(await subscription.ack(claim, { acks, done: true }), 200)
      equal(answer.json, { ok: true, next_wake: false }, "it is as it was")
    },

    "what is for workers is not for webhooks": async () => {
      const receiver = await Receiver.start()
      try {
        const path = fresh("refused")
        const subscription = await root.subscribe({ ...hook(receiver.url), streams: [path] })
        await root.create(path, [0])
        const { callback_token: token, ...wake } = await receiver.next()
        const table = {
          "claim": [() => subscription.claim("worker"), INVALID],
          "ack": [() => subscription.ack({ token, ...wake }), INVALID],
          "release": [() => subscription.release({ token, ...wake }), INVALID],
        }
        await rows(table)
        expect(await subscription.callback({ callback_token: token, ...wake }, { done: true }), 200)
      } finally {
        receiver.stop()
      }
    },

    "streams below __ds are nobody's": async () => {
      for (const method of ["PUT", "POST", "GET"]) {
        expect(await root.ask(method, "__ds/mine", method === "GET" ? undefined : "[]"), 404, "SUBSCRIPTION_NOT_FOUND")
      }
      expect(await root.ask("PUT", "__ds", "[]"), 404, "SUBSCRIPTION_NOT_FOUND")
    },
  }
}
