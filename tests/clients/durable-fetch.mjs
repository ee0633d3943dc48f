// The requests of the client of @durable-streams/proxy 0.1.6, which no registry has: `fetch` through a
// proxy, over the official client of streams. PROXY_CLIENT may be a module with the package's own.
import { stream } from "@durable-streams/client"

const entriesOf = (headers) => Object.entries(headers ?? {})
const isGone = (error) =>
  error instanceof TypeError || error.name === "AbortError" || /404|not found/.test(error.message)

function createDurableFetch({ proxyUrl, proxyAuthorization, storage, fetch: fetchFn = fetch }) {
  const read = async (credentials, wasResumed) => {
    const { streamUrl, upstreamContentType } = credentials
    const answer = await stream({ url: streamUrl, fetch: fetchFn, live: "sse" })
    const headers = { "Content-Type": upstreamContentType ?? "application/octet-stream" }
    const body = new ReadableStream({
      async start(controller) {
        try {
          for await (const bytes of answer.bodyStream()) controller.enqueue(bytes)
          controller.close()
        } catch (error) {
          controller.error(error)
        }
      },
    })
    const response = new Response(body, { headers })
    return Object.assign(response, { ...credentials, wasResumed })
  }

  return async (upstream, { method = "POST", requestId, headers, body, signal } = {}) => {
    const key = requestId && `durable-streams:${proxyUrl}:${requestId}`
    const kept = key && JSON.parse(storage.getItem(key) ?? "null")
    if (kept && Date.now() <= kept.expiresAtSecs * 1000) {
      try {
        return await read(kept, true)
      } catch (error) {
        storage.removeItem(key)
        if (!isGone(error)) throw error
      }
    }
    const sent = { "Upstream-URL": `${upstream}`, "Upstream-Method": method }
    for (const [name, value] of entriesOf(headers)) {
      const isSecret = name.toLowerCase() === "authorization"
      if (name.toLowerCase() !== "host") sent[isSecret ? "Upstream-Authorization" : name] = value
    }
    const url = `${proxyUrl}?${new URLSearchParams({ secret: proxyAuthorization })}`
    const created = await fetchFn(url, { method: "POST", headers: sent, body, signal })
    if (created.status === 502) {
      const type = created.headers.get("Upstream-Content-Type") ?? "application/octet-stream"
      const status = Number.parseInt(created.headers.get("Upstream-Status"), 10)
      return new Response(created.body, { status, headers: { "Content-Type": type } })
    }
    if (!created.ok) return created
    const streamUrl = new URL(created.headers.get("Location"), proxyUrl)
    const credentials = {
      streamUrl: streamUrl.href,
      streamId: decodeURIComponent(streamUrl.pathname.split("/").at(-1)),
      offset: "-1",
      upstreamContentType: created.headers.get("Upstream-Content-Type") ?? undefined,
      createdAtMs: Date.now(),
      expiresAtSecs: Number.parseInt(streamUrl.searchParams.get("expires"), 10),
    }
    if (key) storage.setItem(key, JSON.stringify(credentials))
    return await read(credentials, false)
  }
}

const createAbortFn = (streamUrl) => async () => {
  const url = new URL(streamUrl)
  url.searchParams.set("action", "abort")
  const answer = await fetch(url, { method: "PATCH" })
  if (!answer.ok) throw new Error(`the abort was answered with ${answer.status}`)
}

const { PROXY_CLIENT } = process.env
export const client = PROXY_CLIENT ? await import(PROXY_CLIENT) : { createDurableFetch, createAbortFn }
