// A TCP proxy that can cut a connection in the middle of what the server says.
import { once } from "node:events"
import { connect, createServer } from "node:net"

/**
 * A proxy to `target`. `cut()` lets through half of what the server sends next, on whichever
 * connection, ends that connection, and resolves when it has. It ends them by turns as a peer that
 * goes away in good order and as one that is gone.
 */
export async function proxyTo(target) {
  const { hostname, port } = new URL(target)
  let onCut
  const proxy = { cuts: 0, cut: () => new Promise((resolve) => (onCut = resolve)) }
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    client.pipe(upstream)
    upstream.on("data", (bytes) => {
      if (!onCut) return client.write(bytes)
      const resolve = onCut
      onCut = undefined
      proxy.cuts += 1
      upstream.destroy()
      client.write(bytes.subarray(0, bytes.length >> 1), () => {
        if (proxy.cuts % 2) client.destroy()
        else client.resetAndDestroy()
        resolve()
      })
    })
    upstream.on("end", () => client.end())
    upstream.on("error", end)
    client.on("error", end)
    client.on("close", end)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  proxy.url = `http://127.0.0.1:${server.address().port}`
  return proxy
}
