// Stands for the bundle of a project where only its way to Cloudflare is tested. It serves what
// KV holds, so that what is written over REST can be read, and what an object was given to keep.
import { DurableObject } from "cloudflare:workers"
import wasm from "./index_bg.wasm"

export class StreamDO extends DurableObject {
  async fetch(request) {
    if (request.method === "PUT") await this.ctx.storage.put("kept", await request.text())
    return new Response((await this.ctx.storage.get("kept")) ?? null)
  }
}
export class DirectoryDO extends DurableObject {}
export class SubscriptionDO extends DurableObject {}

export default {
  async fetch(request, env) {
    new WebAssembly.Instance(wasm)
    const key = new URL(request.url).pathname.slice(1)
    if (key.startsWith("object/")) return env.STREAMS.get(env.STREAMS.idFromName(key)).fetch(request)
    const value = (await env.REGISTRY.get(key)) ?? (await env.R2.get(key))?.text()
    return new Response(await value, {
      status: value ? 200 : 404,
      headers: { "cross-origin-resource-policy": "cross-origin" },
    })
  },
}
