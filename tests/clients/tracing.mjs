// The official client on a page whose tools add headers to every request, as Sentry, OpenTelemetry and
// others do: the browser asks beforehand whether it may send them.
import { DurableStream, stream } from "@durable-streams/client"
import { equal, freshUrls } from "./checks.mjs"

const JSON_TYPE = "application/json"

const headers = {
  "sentry-trace": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
  baggage: "sentry-environment=production",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "x-requested-with": "XMLHttpRequest",
}

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "tracing")
  return {
    "a page may send the headers of its tools with each request": async () => {
      const url = fresh()
      const handle = await DurableStream.create({ url, headers, contentType: JSON_TYPE })
      await handle.append("1")
      await handle.close({ body: "2" })
      for (const live of [false, "long-poll", "sse"]) {
        const res = await stream({ url, headers, live, json: true })
        equal(await res.json(), [1, 2], `messages with live: ${live}`)
        equal(res.streamClosed, true, "closed")
      }
      equal((await handle.head()).streamClosed, true, "closed, by HEAD")
      await handle.delete()
    },

    "what is wrong with a request is said by its answer": async () => {
      for (const path of ["/x", "chat%2F42/", "%ff"]) {
        const answer = await fetch(`${server}/v1/stream/${path}`, { headers })
        equal(answer.status >= 400 && answer.status < 500, true, `${answer.status} of ${path}`)
        equal(typeof (await answer.json()).error.message, "string", "message")
      }
    },
  }
}
