// The least a bridge for live reads can do: one frame to all hibernating sockets after the writer's
// response, copied to the reader as it is. What our live reads cost above this is our own doing.
import { DurableObject } from "cloudflare:workers"

const encoder = new TextEncoder()

export class StreamDO extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    this.sql = ctx.storage.sql
    this.sql.exec("CREATE TABLE IF NOT EXISTS log (start INTEGER PRIMARY KEY, body BLOB)")
    this.waiting = []
  }

  async fetch(request) {
    if (request.headers.get("upgrade")) {
      const { 0: client, 1: server } = new WebSocketPair()
      this.ctx.acceptWebSocket(server, [new URL(request.url).searchParams.get("live")])
      return new Response(null, { status: 101, webSocket: client })
    }
    if (request.method !== "POST") {
      const offset = "0000000000000000_0000000000000000"
      return new Response(null, { status: 201, headers: { "stream-next-offset": offset } })
    }
    const body = await request.arrayBuffer()
    this.sql.exec("INSERT INTO log (body) VALUES (?)", body)
    this.waiting.push(new TextDecoder().decode(body))
    if (this.waiting.length === 1) setTimeout(() => this.fanOut(), 0)
    return new Response(null, { status: 204 })
  }

  fanOut() {
    const control = `{"streamNextOffset":"x","streamCursor":"1","upToDate":true}`
    const data = this.waiting.splice(0).join(",\ndata:")
    const frame = encoder.encode(`event: data\ndata:[${data}]\n\nevent: control\ndata:${control}\n\n`)
    for (const socket of this.ctx.getWebSockets()) socket.send(frame)
    for (const socket of this.ctx.getWebSockets("long-poll")) socket.close(1000)
  }

  webSocketClose(socket) {
    socket.close(1000)
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    const stub = env.STREAMS.get(env.STREAMS.idFromName(url.pathname))
    const live = url.searchParams.get("live")
    if (!live) return stub.fetch(request)
    const { webSocket } = await stub.fetch(url, { headers: { upgrade: "websocket" } })
    webSocket.binaryType = "arraybuffer"
    if (live === "long-poll") {
      const frame = new Promise((resolve) => {
        webSocket.addEventListener("message", ({ data }) => resolve(data))
      })
      webSocket.accept()
      return new Response(await frame, { headers: { "stream-next-offset": "x" } })
    }
    const { readable, writable } = new IdentityTransformStream()
    const writer = writable.getWriter()
    webSocket.addEventListener("message", ({ data }) => writer.write(data))
    webSocket.addEventListener("close", () => writer.close())
    webSocket.accept()
    writer.write(encoder.encode(`event: control\ndata:{"streamNextOffset":"x","upToDate":true}\n\n`))
    return new Response(readable, { headers: { "content-type": "text/event-stream" } })
  },
}
