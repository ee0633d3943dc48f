// Stands for the bundle of a project where only its way to Cloudflare is tested. It serves what
// KV holds, so that what is written over REST can be read.
import { DurableObject } from "cloudflare:workers"
import wasm from "./index_bg.wasm"

export class StreamDO extends DurableObject {}

export default {
  async fetch(request, env) {
    new WebAssembly.Instance(wasm)
    const key = new URL(request.url).pathname.slice(1)
    const value = (await env.REGISTRY.get(key)) ?? (await env.R2.get(key))?.text()
    return new Response(await value, {
      status: value ? 200 : 404,
      headers: { "cross-origin-resource-policy": "cross-origin" },
    })
  },
}
