// A bucket on which everything can go wrong that goes wrong with a real one.

function refuse() {
  throw new Error("injected")
}

/** What each call does instead of what the real bucket does. */
const faults = {
  none: {},
  "put fails": { put: refuse },
  "put is not heard of": {
    async put(bucket, ...args) {
      await bucket.put(...args)
      refuse()
    },
  },
  "get fails": { get: refuse },
  "get is short": {
    async get(bucket, key, options) {
      const { offset, length } = options.range
      const object = await bucket.get(key, options)
      const short = await bucket.get(key, { range: { offset, length: length - 1 } })
      return { size: object.size, etag: object.etag, body: short.body, arrayBuffer: () => short.arrayBuffer() }
    },
  },
  "get finds nothing": { get: async () => null },
  "get finds something else": {
    async get(bucket, ...args) {
      const object = await bucket.get(...args)
      const bytes = new Uint8Array(await object.arrayBuffer()).map((byte) => byte ^ 1)
      const body = new Response(bytes).body
      return { size: object.size, etag: "other", body, arrayBuffer: async () => bytes.buffer }
    },
  },
  "get finds a copy": {
    async get(bucket, ...args) {
      const object = await bucket.get(...args)
      return { size: object.size, etag: "other", body: object.body, arrayBuffer: () => object.arrayBuffer() }
    },
  },
  "delete fails": { delete: refuse },
  "nothing can be changed": { put: refuse, delete: refuse },
  "put is never answered": {
    async put() {
      console.error("a put is not answered")
      await new Promise((resolve) => setTimeout(resolve, 3_600_000))
    },
  },
  slow: {
    async put(bucket, ...args) {
      await new Promise((resolve) => setTimeout(resolve, 2000))
      return bucket.put(...args)
    },
  },
}

export default function ({ BUCKET, FAULTS }) {
  const call = (name) => async (...args) => {
    const fault = faults[(await FAULTS.get("fault")) ?? "none"]
    return fault[name] ? fault[name](BUCKET, ...args) : BUCKET[name](...args)
  }
  return { get: call("get"), put: call("put"), list: call("list"), delete: call("delete") }
}
