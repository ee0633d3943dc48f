// Logs of workers, as they come.
import { createHash, randomBytes } from "node:crypto"
import { script } from "./scripts.mjs"
import { cloud } from "./state.mjs"

const tails = new Map()

/** Sends an event to everyone who watches; says how many that are. */
export function tell(event) {
  const sockets = [...tails.values()].flatMap((sockets) => [...sockets])
  const text = Buffer.from(JSON.stringify(event))
  const head = Buffer.from([0x81, 126, text.length >> 8, text.length & 255])
  for (const socket of sockets) socket.write(Buffer.concat([head, text]))
  return sockets.length
}

export function watch(request, socket) {
  const sockets = tails.get(request.url.split("/").pop())
  const key = request.headers["sec-websocket-key"]
  if (!sockets || request.headers["sec-websocket-protocol"] !== "trace-v1") return socket.destroy()
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Protocol: trace-v1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  sockets.add(socket)
  socket.on("close", () => sockets.delete(socket)).on("error", () => {})
}

export const routes = [
  [
    "POST",
    "/workers/scripts/:s/tails",
    (s, { host }) => {
      script(s)
      const id = randomBytes(16).toString("hex")
      tails.set(id, new Set())
      return { id, url: `ws://${host}/__fake/tails/${id}`, expires_at: new Date(Date.now() + (cloud.tailLife ?? 21_600_000)).toISOString() }
    },
  ],
  ["DELETE", "/workers/scripts/:s/tails/:t", (s, t) => tails.delete(t) && null],
]
