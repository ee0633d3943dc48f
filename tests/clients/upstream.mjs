// A server for others to ask: each request waits to be answered by the check that has caused it.
import { once } from "node:events"
import { createServer } from "node:http"
import { equal, until } from "./checks.mjs"

/** One request, and the way to answer it. */
class Asked {
  isGone = false

  constructor(request, response, body) {
    Object.assign(this, { request, response, body })
    response.on("close", () => (this.isGone = !response.writableFinished))
  }

  /** Begins to answer. */
  start(headers = { "Content-Type": "text/event-stream" }, status = 200) {
    this.response.writeHead(status, headers).flushHeaders()
    return this
  }

  say(bytes) {
    this.response.write(bytes)
    return this
  }

  end(bytes) {
    this.response.end(bytes)
  }

  breakOff() {
    this.response.destroy()
  }
}

export async function startUpstream() {
  const asked = new Map()
  let count = 0
  const server = createServer(async (request, response) => {
    count += 1
    const parts = []
    for await (const part of request) parts.push(part)
    asked.set(request.url, new Asked(request, response, Buffer.concat(parts)))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const base = `http://127.0.0.1:${server.address().port}`
  return {
    base,
    /** A URL that nobody has asked yet. */
    fresh: (name) => `${base}/v1/${name}`,
    count: () => count,
    /** The request to this URL, as soon as it has come. */
    async asked(url) {
      const { pathname, search } = new URL(url)
      await until(() => asked.has(pathname + search))
      return asked.get(pathname + search)
    },
    /** That nobody asks what may not be asked. */
    async never(work) {
      const before = count
      await work()
      equal(count, before, "requests to the upstream")
    },
  }
}
