// What our server refuses beyond what the protocol makes it refuse, so that nothing grows without
// bound and no mistake goes unnoticed.
import { Root, acksOf, equal, eventually, expect, fresh } from "./control.mjs"
import { withReceiver } from "./receiver.mjs"
import { rows } from "./subscription-refusals.mjs"

const INVALID = [400, "INVALID_REQUEST"]

/** URLs that some servers would call. */
const REJECTED = [
  "https://[::1]/hook",
  "https://[::ffff:10.0.0.1]/hook",
  "https://[fe80::1]/hook",
  "https://[fd00::1]/hook",
  "https://100.64.0.1/hook",
  "https://192.0.0.1/hook",
  "https://198.18.0.1/hook",
  "https://198.19.255.255/hook",
  "https://224.0.0.1/hook",
  "https://240.0.0.1/hook",
  "https://255.255.255.255/hook",
  "https://user@example.com/hook",
  "https://user:password@example.com/hook",
  "https://printer.local/hook",
  "https://metadata.google.internal/hook",
  "https://a.localhost/hook",
  "https://localhost./hook",
  "https://10.0.0.1./hook",
]

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)
  const good = () => ({ type: "pull-wake", streams: [fresh("bounds")], wake_stream: fresh("bounds") })
  const put = (more) => () => root.subscription().put({ ...good(), ...more })
  const hook = (url) => put({ type: "webhook", wake_stream: undefined, webhook: { url } })

  return {
    "more URLs are rejected": async () => {
      const rejected = REJECTED.map((url) => [url, [hook(url), [400, "WEBHOOK_URL_REJECTED"]]])
      await rows(Object.fromEntries(rejected))
    },

    "a field that there is not is named": async () => {
      const subscription = await root.subscribe(good())
      const asked = {
        lease_ms: put({ lease_ms: 1000 }),
        secret: put({ type: "webhook", wake_stream: undefined, webhook: { url: "https://example.com", secret: "s" } }),
        stream: () => root.ask("POST", `${subscription.path}/streams`, { streams: ["a"], stream: "b" }),
        later: () => root.ask("POST", "__ds/keys/rotate", { later: true }),
      }
      for (const [field, ask] of Object.entries(asked)) {
        const { message } = expect(await ask(), 400, "INVALID_REQUEST").error
        equal(message.includes(field), true, `${field} in ${message}`)
      }
    },

    "what workers say beside is passed over": async () => {
      const more = { lease_ms: 1000, note: { any: ["thing"] } }
      const config = good()
      const subscription = await root.subscribe(config)
      const [path] = config.streams
      await root.create(path, [0])
      const claim = () => root.ask("POST", `${subscription.path}/claim`, { worker: "a", ...more })
      const first = expect(await eventually("a claim", async () => {
        const answer = await claim()
        return answer.status === 200 && answer
      }), 200).json
      expect(await subscription.ack(first, { ...more, acks: [] }), 200)
      const { token, wake_id, generation } = first
      expect(await subscription.withToken("release", token, { wake_id, generation, ...more }), 204)
      const second = expect(await claim(), 200).json
      expect(await subscription.ack(second, { ...more, acks: acksOf(second), done: true }), 200)
    },

    "what receivers say beside is passed over": withReceiver(async (receiver) => {
      const path = fresh("bounds")
      const config = { type: "webhook", streams: [path], webhook: { url: receiver.url } }
      const subscription = await root.subscribe(config)
      await root.create(path, [0])
      const wake = await receiver.next()
      const acks = acksOf(wake)
      expect(await subscription.callback(wake, { note: "any", acks, done: true }), 200)
      await subscription.acked(path, acks[0].offset)
    }),

    "a wrong field is named, with what would be right": async () => {
      const asked = {
        type: [put({ type: "push" }), "pull-wake"],
        lease_ttl_ms: [put({ lease_ttl_ms: 5 }), "1000"],
        streams: [put({ streams: [1] }), "streams"],
        wake_stream: [put({ wake_stream: undefined }), "wake_stream"],
        "webhook.url": [put({ type: "webhook", wake_stream: undefined }), "webhook"],
        pattern: [put({ pattern: 7 }), "pattern"],
        description: [put({ description: 7 }), "description"],
      }
      for (const [field, [ask, right]] of Object.entries(asked)) {
        const { message } = expect(await ask(), 400, "INVALID_REQUEST").error
        for (const part of [field, right]) equal(message.includes(part), true, `${part} in ${message}`)
      }
    },

    "nothing is longer than it may be": async () => {
      const withId = (id) => () => root.subscription(id).put(good())
      const subscription = await root.subscribe(good())
      const table = {
        "a pattern of 513 bytes": [put({ pattern: "x".repeat(513) }), INVALID],
        "a pattern of 33 segments": [put({ pattern: Array(33).fill("*").join("/") }), INVALID],
        "a pattern of 32 segments": [put({ pattern: Array(32).fill("*").join("/") }), [201]],
        "a star within a segment": [put({ pattern: "a*" }), INVALID],
        "an id of 257 bytes": [withId("x".repeat(257)), INVALID],
        "no id": [withId(""), INVALID],
        "an id with a line end": [withId("a\nb"), INVALID],
        "a description of 1025 bytes": [put({ description: "x".repeat(1025) }), INVALID],
        "a description of 1024 bytes": [put({ description: "x".repeat(1024) }), [201]],
        "a worker of 257 bytes": [() => subscription.claim("x".repeat(257)), INVALID],
        "a body of 65,537 bytes": [() => subscription.put(" ".repeat(65_537)), [413]],
        "a long list of acks": [
          () => subscription.withToken("ack", "x", { acks: Array(9000).fill({ stream: "a" }) }),
          [413],
        ],
        "a stream below __ds": [put({ streams: ["__ds/subscriptions/a"] }), INVALID],
        "a path with an empty segment": [put({ streams: ["a//b"] }), INVALID],
        "a wake stream below __ds": [put({ wake_stream: "__ds/a" }), INVALID],
      }
      await rows(table)
    },

    "there are 10,000 streams by name at most": async () => {
      const streams = Array.from({ length: 10_001 }, (_, n) => (n + 1296).toString(36))
      const { message } = expect(await put({ streams })(), 400, "INVALID_REQUEST").error
      equal(/10,?000/.test(message), true, message)
    },

    "lists are of a thousand at most": async () => {
      for (const list of ["streams", "subscriptions"]) {
        for (const limit of ["0", "1001", "x", "-1", ""]) {
          const answer = await root.ask("GET", `__ds/${list}?limit=${limit}`)
          equal([limit, answer.status], [limit, 400], `${list}: ${answer.text}`)
        }
      }
    },
  }
}
