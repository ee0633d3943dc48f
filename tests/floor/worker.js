// The least a worker can do to keep an append: one object, one INSERT. What our worker costs above
// this is our own doing.
import { DurableObject } from "cloudflare:workers"

export class StreamDO extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    this.sql = ctx.storage.sql
    this.sql.exec("CREATE TABLE IF NOT EXISTS log (start INTEGER PRIMARY KEY, body BLOB)")
  }

  async fetch(request) {
    if (request.method === "PUT") return new Response(null, { status: 201 })
    const body = await request.arrayBuffer()
    this.sql.exec("INSERT INTO log (body) VALUES (?)", body)
    return new Response(null, { status: 204 })
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url)
    return env.STREAMS.get(env.STREAMS.idFromName(pathname)).fetch(request)
  },
}
