// The least a worker can do to keep a stream: one object, one row to remember it, one INSERT an append,
// a loop over rows to read. What our worker costs above this is our own doing.
import { DurableObject } from "cloudflare:workers"

const encoder = new TextEncoder()
const [open, comma, close] = ["[", ",", "]"].map((text) => encoder.encode(text))

export class StreamDO extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    this.sql = ctx.storage.sql
    this.sql.exec("CREATE TABLE IF NOT EXISTS log (start INTEGER PRIMARY KEY, body BLOB)")
  }

  async fetch(request) {
    if (request.method === "PUT") return this.create(request)
    if (request.method === "GET") return this.read(request)
    const body = await request.arrayBuffer()
    const { value } = this.sql.exec("INSERT INTO log (body) VALUES (?) RETURNING start", body).next()
    return new Response(null, { status: 204, headers: { "stream-next-offset": value.start } })
  }

  create(request) {
    this.sql.exec("CREATE TABLE stream (content_type TEXT)")
    this.sql.exec("INSERT INTO stream VALUES (?)", request.headers.get("content-type"))
    return new Response(null, { status: 201, headers: { "stream-next-offset": "0" } })
  }

  read(request) {
    const offset = Number(new URL(request.url).searchParams.get("offset"))
    const parts = [open]
    let next = offset
    for (const row of this.sql.exec("SELECT start, body FROM log WHERE start > ?", offset)) {
      if (parts.length > 1) parts.push(comma)
      parts.push(row.body)
      next = row.start
    }
    parts.push(close)
    const headers = {
      "content-type": "application/json",
      "stream-next-offset": next,
      "stream-up-to-date": "true",
    }
    return new Response(new Blob(parts), { headers })
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url)
    return env.STREAMS.get(env.STREAMS.idFromName(pathname)).fetch(request)
  },
}
