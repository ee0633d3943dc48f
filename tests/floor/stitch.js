// The least a worker can do to serve what lies in a bucket: all objects, one after the other, as one
// response of known length.
import { DurableObject } from "cloudflare:workers"

export class StreamDO extends DurableObject {}

let objects

export default {
  async fetch(request, env, ctx) {
    objects ??= (await env.R2.list()).objects
    const length = objects.reduce((sum, { size }) => sum + size, 0)
    const { readable, writable } = new FixedLengthStream(length)
    const opened = objects.map(({ key }) => env.R2.get(key))
    const pour = async () => {
      for (const object of opened) await (await object).body.pipeTo(writable, { preventClose: true })
      await writable.close()
    }
    ctx.waitUntil(pour())
    return new Response(readable)
  },
}
