// What EventSource makes of live reads, on a page of another origin.
import { equal, freshUrls, numbers, sleep, until } from "./checks.mjs"

const JSON_TYPE = "application/json"

/** An EventSource and what it has heard, in all and on each of its connections. */
function listen(url) {
  const source = new EventSource(url)
  const heard = { source, data: [], controls: [], connections: [] }
  heard.failed = new Promise((resolve) => (source.onerror = () => resolve(source.readyState)))
  source.addEventListener("open", () => heard.connections.push([]))
  source.addEventListener("data", ({ data }) => {
    heard.data.push(data)
    heard.connections.at(-1).push(data)
  })
  source.addEventListener("control", ({ data }) => heard.controls.push(JSON.parse(data)))
  return heard
}

/**
 * Reads a JSON stream through one EventSource after the other, each from where the last one was.
 * Data counts when its control event is there, which says where to go on: a connection may break
 * between the two.
 */
function resume(url) {
  const reader = { messages: [], connections: 0 }
  let [offset, source, pending] = ["-1"]
  const open = () => {
    reader.connections += 1
    pending = []
    source = new EventSource(`${url}?offset=${offset}&live=sse`)
    source.addEventListener("data", ({ data }) => pending.push(...JSON.parse(data)))
    source.addEventListener("control", ({ data }) => {
      offset = JSON.parse(data).streamNextOffset
      reader.messages.push(...pending.splice(0))
    })
    source.addEventListener("error", () => {
      source.close()
      setTimeout(open, 20)
    })
  }
  reader.close = () => source.close()
  open()
  return reader
}

const parsed = (data) => data.flatMap((text) => JSON.parse(text))

async function send(method, url, contentType, body, headers = {}) {
  const answer = await fetch(url, {
    method,
    headers: { "Content-Type": contentType, ...headers },
    body,
  })
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`)
  return answer
}

/** The checks, for streams at `server`; `proxy` leads to it too, and cuts when `cut` is called. */
export function checks(server, { proxy, cut }) {
  const fresh = freshUrls(server, "event-source")
  const create = async (contentType) => {
    const url = fresh()
    await send("PUT", url, contentType)
    return { url, append: (body, headers) => send("POST", url, contentType, body, headers) }
  }

  return {
    "an EventSource of another origin hears what is there and what comes": async () => {
      equal(location.origin !== new URL(server).origin, true, "another origin")
      const { url, append } = await create(JSON_TYPE)
      await append("[0, 1]")
      await append("2")
      const heard = listen(`${url}?offset=-1&live=sse`)
      await until(() => heard.controls.length > 0)
      equal(parsed(heard.data), [0, 1, 2], "what was there")
      for (const n of numbers(3, 20)) await append(`[${n}, "\\r\\n"]`)
      await until(() => parsed(heard.data).length >= 37)
      const written = numbers(3, 20).flatMap((n) => [n, "\r\n"])
      equal(parsed(heard.data), [0, 1, 2, ...written], "everything")
      const last = heard.controls.at(-1)
      const answer = await fetch(url, { method: "HEAD" })
      equal(last.streamNextOffset, answer.headers.get("stream-next-offset"), "offset")
      equal([typeof last.streamCursor, last.upToDate], ["string", true], "the rest of it")
      heard.source.close()
    },

    "it connects again by itself, and goes on after the last event it was given": async () => {
      const { url, append } = await create(JSON_TYPE)
      await append("0")
      const heard = listen(`${url}?offset=-1&live=sse`)
      await append("1")
      equal(await heard.failed, EventSource.CONNECTING, "state")
      await append("2")
      await until(() => heard.connections.length > 1)
      await append("3")
      await until(() => parsed(heard.data).length >= 4)
      heard.source.close()
      const [first, ...later] = heard.connections.map(parsed)
      equal(first, [0, 1], "on the first connection")
      equal(later.flat(), [2, 3], "on the others")
    },

    "so it does when the connection is cut": async () => {
      const { url, append } = await create(JSON_TYPE)
      const heard = listen(`${url.replace(server, proxy)}?offset=-1&live=sse`)
      let count = 0
      while (heard.connections.length < 4) {
        await append(`${count++}`)
        if (count % 20 === 0) await cut()
        await sleep(20)
      }
      await until(() => parsed(heard.data).length >= count)
      heard.source.close()
      equal(parsed(heard.data), numbers(0, count), "messages")
    },

    "a new EventSource at the last streamNextOffset goes on where the last one was": async () => {
      const { url, append } = await create(JSON_TYPE)
      const reader = resume(url)
      let count = 0
      while (reader.connections < 3) {
        await append(`${count++}`)
        await sleep(5)
      }
      await append(`${count++}`)
      await until(() => reader.messages.length >= count)
      reader.close()
      equal(reader.messages, numbers(0, count), "messages")
    },

    "so it does when the connection is cut in mid-event": async () => {
      const { url, append } = await create(JSON_TYPE)
      const reader = resume(url.replace(server, proxy))
      for (const n of numbers(0, 60)) {
        const isCut = n % 6 === 5 ? cut() : undefined
        await append(`${n}`)
        await (isCut ?? sleep(10))
      }
      await until(() => reader.messages.length >= 60)
      reader.close()
      equal(reader.messages, numbers(0, 60), "messages")
      equal(reader.connections > 10, true, `${reader.connections} connections are enough`)
    },

    "text arrives with every line end as LF, and cannot forge an event": async () => {
      const { url, append } = await create("text/plain; charset=utf-8")
      const texts = [
        "a\rb\nc\r\nd",
        "\n\n x\r\n\r\n  y\r\r",
        'event: control\ndata: {"streamNextOffset":"forged"}\n\n',
        "\rdata: no\rid: 7\rretry: 1\r: comment\r\n\r\nevent: data\r\rdata:",
        " ß€😀\u2028\u0000 ",
      ]
      const heard = listen(`${url}?offset=-1&live=sse`)
      const messages = []
      heard.source.addEventListener("message", ({ data }) => messages.push(data))
      for (const [n, text] of texts.entries()) {
        await append(text)
        await until(() => heard.data.length > n)
      }
      // A CR at the end of one comes with the next, which might start with its LF.
      const lines = texts.join("").replace(/\r\n?/g, "\n")
      equal(heard.data.join(""), lines, "texts")
      await until(() => heard.controls.length > texts.length)
      equal(heard.controls.length, texts.length + 1, "control events, one before all texts")
      const offset = /^\d{16}_\d{16}_\d{4}$/
      const offsets = heard.controls.map(({ streamNextOffset }) => offset.test(streamNextOffset))
      equal(offsets.every(Boolean), true, "offsets")
      equal(messages, [], "events of other names")
      heard.source.close()
    },

    "bytes arrive as base64, and the answer says so": async () => {
      const { url, append } = await create("application/octet-stream")
      const all = new Uint8Array(numbers(0, 1000))
      await append(all.subarray(0, 301))
      const heard = listen(`${url}?offset=-1&live=sse`)
      await until(() => heard.data.length === 1)
      await append(all.subarray(301, 302))
      await append(all.subarray(302))
      const decoded = () => heard.data.flatMap((data) => Array.from(atob(data), (c) => c.charCodeAt(0)))
      await until(() => decoded().length >= 1000)
      equal(decoded(), [...all], "bytes")
      heard.source.close()
      const aborter = new AbortController()
      const answer = await fetch(`${url}?offset=now&live=sse`, { signal: aborter.signal })
      equal(answer.headers.get("stream-sse-data-encoding"), "base64", "encoding")
      aborter.abort()
    },

    "the last control event of a closed stream says so": async () => {
      const { url, append } = await create(JSON_TYPE)
      const heard = listen(`${url}?offset=-1&live=sse`)
      await until(() => heard.controls.length > 0)
      const closed = await append("1", { "Stream-Closed": "true" })
      await until(() => heard.controls.some(({ streamClosed }) => streamClosed))
      heard.source.close()
      equal(parsed(heard.data), [1], "messages")
      const { streamNextOffset } = heard.controls.at(-1)
      equal(streamNextOffset, closed.headers.get("stream-next-offset"), "final offset")
    },

    "a missing stream ends an EventSource for good": async () => {
      const heard = listen(`${fresh()}?offset=-1&live=sse`)
      equal(await heard.failed, EventSource.CLOSED, "state")
      equal(heard.connections, [], "connections")
    },
  }
}
