// Checks of the example `proxy`: node example-proxy.mjs URL RUNTIME, the process id of the runtime,
// which is killed in the last check.
import { createHmac, randomUUID } from "node:crypto"
import { equal, numbers, run, sleep, until } from "./checks.mjs"
import { client } from "./durable-fetch.mjs"
import { startUpstream } from "./upstream.mjs"

const { createDurableFetch, createAbortFn } = client
process.stdin.resume().on("end", () => process.exit(1))
console.log = console.error
// A client whose connection is cut says so in a promise that nobody holds.
process.on("unhandledRejection", (error) => console.error(error))

const [server, runtime] = process.argv.slice(2)
const PROXY = `${server}/v1/proxy`
const SECRET = process.env.PROXY_SECRET
const upstream = await startUpstream()

const EVENTS = numbers(0, 300).map((n) => `event: delta\r\ndata: {"text":"${n} ß€😀"}\n\n`).join("")
const EVERY_BYTE = Buffer.from(numbers(0, 4096).map((n) => (n * 7) % 256))

function memory() {
  const kept = new Map()
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  }
}

const through = (storage = memory(), more = {}) =>
  createDurableFetch({ proxyUrl: PROXY, proxyAuthorization: SECRET, storage, ...more })

/** A request without the client. */
const create = (url, headers = {}, more = {}) =>
  fetch(`${PROXY}?secret=${SECRET}`, {
    method: "POST",
    headers: { "Upstream-URL": url, "Upstream-Method": "POST", ...headers },
    ...more,
  })

const code = async (answer) => (await answer.json()).error.code

/** An answer that has begun, with its upstream and its URL. */
async function begun(name, headers) {
  const url = upstream.fresh(name)
  const creating = create(url)
  const asked = (await upstream.asked(url)).start(headers)
  const created = await creating
  equal(created.status, 201, "status")
  return { asked, url: new URL(created.headers.get("Location"), PROXY) }
}

const at = (url, more) => {
  const there = new URL(url)
  for (const [name, value] of Object.entries(more)) there.searchParams.set(name, value)
  return there
}

/** What is kept of an answer, as soon as it has ended. */
async function whole(url, millis = 30_000) {
  const late = Date.now() + millis
  for (;;) {
    const answer = await fetch(at(url, { offset: "-1" }))
    const bytes = Buffer.from(await answer.arrayBuffer())
    if (answer.headers.get("Stream-Closed") === "true") return bytes
    if (Date.now() > late) throw new Error(`it has not ended after ${millis} ms: ${bytes}`)
    await sleep(100)
  }
}

/** The bytes of a response, one after the other. */
function bytesOf(response) {
  const reader = response.body.getReader()
  let seen = Buffer.alloc(0)
  let ended = false
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      seen = Buffer.concat([seen, value])
    }
    ended = true
  })()
  reading.catch(() => {})
  return {
    seen: () => seen,
    until: (text) => until(() => seen.includes(text)),
    hasEnded: () => ended,
    end: async () => (await reading, seen),
  }
}

/** A client's connections, until they are cut. */
function connections() {
  const cut = new AbortController()
  const own = (url, { signal, ...init } = {}) =>
    fetch(url, { ...init, signal: AbortSignal.any([cut.signal, ...(signal ? [signal] : [])]) })
  return { fetch: own, cut: () => cut.abort() }
}

/** A URL that is signed as the worker does. */
function signedUrl(id, expires) {
  const signature = createHmac("sha256", SECRET).update(`${id}:${expires}`).digest("hex")
  return new URL(`${PROXY}/${id}?expires=${expires}&signature=${signature}`)
}
const idOf = (url) => url.pathname.split("/").at(-1)
const now = () => Math.floor(Date.now() / 1000)

const slow = (async () => {
  const { asked, url } = await begun("slow")
  for (const n of numbers(0, 16)) {
    asked.say(`data: ${n}\n\n`)
    await sleep(1000)
  }
  asked.end()
  return url
})()

const checks = {
  "an answer is read while it comes, byte for byte, and with its type": async () => {
    const url = upstream.fresh("read")
    const fetching = through()(url, { body: "{}", headers: { "Content-Type": "application/json" } })
    const type = "text/event-stream; charset=utf-8"
    const asked = (await upstream.asked(url)).start({ "Content-Type": type }).say(EVENTS.slice(0, 500))
    const response = await fetching
    equal([response.status, response.wasResumed], [200, false], "response")
    equal(response.headers.get("content-type"), type, "type")
    const bytes = bytesOf(response)
    await until(() => bytes.seen().length > 400)
    asked.say(EVENTS.slice(500)).end("\r")
    equal((await bytes.end()).toString(), `${EVENTS}\r`, "bytes")
    equal(asked.request.method, "POST", "method")
    equal(`${asked.body}`, "{}", "body")
  },

  "bytes of no text and of no type are kept as they are": async () => {
    for (const headers of [{ "Content-Type": "application/json" }, {}]) {
      const { asked, url } = await begun(randomUUID(), headers)
      asked.end(EVERY_BYTE)
      equal(Buffer.compare(await whole(url), EVERY_BYTE), 0, "bytes")
    }
    const { asked, url } = await begun("empty")
    asked.end()
    equal((await whole(url)).length, 0, "length")
  },

  "a client that was cut off has the same answer again, and a second reader, too": async () => {
    const url = upstream.fresh("again")
    const storage = memory()
    const first = connections()
    const fetching = through(storage, first)(url, { requestId: "chat-1" })
    const asked = (await upstream.asked(url)).start().say("data: 1\n\n")
    await bytesOf(await fetching).until("data: 1")
    first.cut()
    asked.say("data: 2\n\n")
    const resumed = await through(storage)(url, { requestId: "chat-1" })
    equal(resumed.wasResumed, true, "resumed")
    const [again, other] = [bytesOf(resumed), bytesOf(await through(storage)(url, { requestId: "chat-1" }))]
    await again.until("data: 2")
    asked.end("data: 3\n\n")
    for (const bytes of [again, other]) {
      equal(`${await bytes.end()}`, "data: 1\n\ndata: 2\n\ndata: 3\n\n", "bytes")
    }
  },

  "a reader goes on from any offset, by each way to read": async () => {
    const { asked, url } = await begun("offsets")
    asked.say("one")
    let page
    await until(() => {
      fetch(url).then(async (answer) => (page = [await answer.text(), answer.headers]))
      return page?.[0] === "one"
    })
    const offset = page[1].get("Stream-Next-Offset")
    equal(page[1].get("Upstream-Content-Type"), "text/event-stream", "type of a page")
    equal(page[1].get("Content-Type"), "application/octet-stream", "type of the stream")
    const polling = fetch(at(url, { offset, live: "long-poll" }))
    asked.say("two")
    const polled = await polling
    equal(await polled.text(), "two", "a long-poll")
    equal(polled.headers.get("Upstream-Content-Type"), "text/event-stream", "type of a long-poll")
    const events = await fetch(at(url, { offset, live: "sse" }))
    equal(events.headers.get("Upstream-Content-Type"), "text/event-stream", "type of events")
    equal(events.headers.get("Access-Control-Allow-Origin"), "*", "origin")
    equal(events.headers.get("Access-Control-Expose-Headers").includes("Upstream-Content-Type"), true, "exposed")
    asked.end("three")
    const text = await events.text()
    equal(text.includes('"streamClosed":true'), true, `the end of ${text}`)
    equal(await (await fetch(at(url, { offset }))).text(), "twothree", "from the offset")
    equal((await fetch(at(url, { offset: "0" }))).status, 400, "no offset")
  },

  "an answer goes on when its client has left": async () => {
    const url = upstream.fresh("left")
    const leaving = connections()
    const storage = memory()
    const fetching = through(storage, leaving)(url, { requestId: "left" })
    const asked = (await upstream.asked(url)).start().say("data: 1\n\n")
    await bytesOf(await fetching).until("data: 1")
    leaving.cut()
    await sleep(500)
    equal(asked.isGone, false, "the upstream was left")
    asked.end("data: 2\n\n")
    const { streamUrl } = JSON.parse([...storage.kept.values()][0])
    equal(`${await whole(streamUrl)}`, "data: 1\n\ndata: 2\n\n", "bytes")
  },

  "an abort ends the upstream and the answer, with all that had come": async () => {
    const url = upstream.fresh("abort")
    const fetching = through()(url)
    const asked = (await upstream.asked(url)).start().say("data: 1\n\n")
    const response = await fetching
    const bytes = bytesOf(response)
    await bytes.until("data: 1")
    asked.say("data: 2\n\n")
    // Less than what is waited for before it is appended.
    await sleep(30)
    const abort = createAbortFn(response.streamUrl)
    await abort()
    equal(`${await bytes.end()}`, "data: 1\n\ndata: 2\n\n", "bytes")
    await until(() => asked.isGone)
    await abort()
  },

  "an abort reaches an upstream that is silent": async () => {
    const { asked, url } = await begun("silent-abort")
    equal((await fetch(at(url, { action: "abort" }), { method: "PATCH" })).status, 204, "status")
    await until(() => asked.isGone)
    equal(`${await whole(url)}`, "", "bytes")
  },

  "what has ended may be aborted, and not by whoever knows the secret alone": async () => {
    const { asked, url } = await begun("aborted")
    const patch = (url) => fetch(url, { method: "PATCH" })
    const bare = new URL(`${PROXY}/${idOf(url)}?action=abort&secret=${SECRET}`)
    equal(await code(await patch(bare)), "MISSING_SIGNATURE", "without a signature")
    equal(await code(await patch(url)), "INVALID_ACTION", "without an action")
    equal(await code(await patch(at(url, { action: "abort", expires: now() + 1 }))), "SIGNATURE_INVALID", "forged")
    asked.end("all")
    await whole(url)
    equal((await patch(at(url, { action: "abort" }))).status, 204, "after the end")
    equal(`${await whole(url)}`, "all", "bytes")
  },

  "an upstream that is not allowed is not asked": async () => {
    const { port } = new URL(upstream.base)
    await upstream.never(async () => {
      for (const url of [
        `${upstream.base}/v2/secret`,
        `${upstream.base}/v1/../v2/secret`,
        `${upstream.base}/v1/..%2fv2/secret`,
        `http://user@127.0.0.1:${port}/v1/x`,
        `http://localhost:${port}/v1/x`,
        `https://evil.example/v1/x`,
        "ftp://127.0.0.1/v1/x",
        "not a url",
      ]) {
        const answer = await create(url)
        equal([answer.status, await code(answer)], [403, "UPSTREAM_NOT_ALLOWED"], url)
        equal(answer.headers.get("Access-Control-Allow-Origin"), "*", "origin")
      }
    })
  },

  "a redirect is not followed": async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      const url = upstream.fresh(`redirect-${status}`)
      const target = upstream.fresh(`target-${status}`)
      const creating = create(url)
      ;(await upstream.asked(url)).start({ Location: target }, status).end()
      const before = upstream.count()
      const answer = await creating
      equal([answer.status, await code(answer)], [400, "REDIRECT_NOT_ALLOWED"], "answer")
      await sleep(50)
      equal(upstream.count(), before, "requests")
    }
  },

  "an upstream's error is its client's, as far as it goes": async () => {
    for (const status of [400, 429, 500]) {
      const url = upstream.fresh(`error-${status}`)
      const fetching = through()(url)
      const document = JSON.stringify({ error: status })
      ;(await upstream.asked(url)).start({ "Content-Type": "application/json" }, status).end(document)
      const response = await fetching
      equal(response.status, status, "status")
      equal(response.headers.get("content-type"), "application/json", "type")
      equal(await response.text(), document, "body")
    }
    const url = upstream.fresh("long-error")
    const creating = create(url)
    ;(await upstream.asked(url)).start({}, 500).end("x".repeat(1 << 20))
    equal((await (await creating).arrayBuffer()).byteLength, 1 << 16, "length")
  },

  "an upstream that is not there, or does not begin to answer, is said to be so": async () => {
    const none = await create("http://127.0.0.1:1/v1/x")
    equal([none.status, await code(none)], [502, "UPSTREAM_ERROR"], "none")
    equal((await through()("http://127.0.0.1:1/v1/x")).status, 502, "for the client")
    const url = upstream.fresh("late")
    const creating = create(url)
    const asked = await upstream.asked(url)
    const late = await creating
    equal([late.status, await code(late)], [504, "UPSTREAM_TIMEOUT"], "late")
    await until(() => asked.isGone)
  },

  "credentials and what is about the client stay with the proxy": async () => {
    const url = upstream.fresh("headers")
    const fetching = through()(url, {
      method: "PUT",
      body: "x".repeat(100_000),
      headers: {
        Authorization: "Bearer theirs",
        Cookie: "session=ours",
        Origin: "https://app.example",
        "X-Forwarded-For": "192.0.2.1",
        "Exchange-Stream": "elsewhere",
        "Anthropic-Version": "2023-06-01",
      },
    })
    const asked = (await upstream.asked(url)).start()
    asked.end()
    await (await fetching).text()
    const { headers, method } = asked.request
    equal([method, asked.body.length, headers["content-length"]], ["PUT", 100_000, "100000"], "request")
    equal([headers.authorization, headers["anthropic-version"]], ["Bearer theirs", "2023-06-01"], "sent")
    for (const name of ["cookie", "origin", "x-forwarded-for", "exchange-stream", "upstream-url"]) {
      equal(headers[name], undefined, name)
    }
    equal(JSON.stringify(headers).includes(SECRET), false, "the secret")
    const bare = upstream.fresh("bare")
    const creating = create(bare, { Authorization: "Bearer ours", "Upstream-Method": "get" })
    const got = (await upstream.asked(bare)).start()
    got.end()
    equal((await creating).status, 201, "status")
    equal([got.request.method, got.request.headers.authorization], ["GET", undefined], "without any")
  },

  "a request has to be whole, and from somebody who knows the secret": async () => {
    const url = upstream.fresh("refused")
    await upstream.never(async () => {
      const post = (query, headers) => fetch(`${PROXY}${query}`, { method: "POST", headers })
      const both = { "Upstream-URL": url, "Upstream-Method": "POST" }
      for (const [query, headers, status, expected] of [
        ["", both, 401, "MISSING_SECRET"],
        ["?secret=guessed", both, 401, "INVALID_SECRET"],
        ["", { ...both, Authorization: "Bearer guessed" }, 401, "INVALID_SECRET"],
        ["", { ...both, Authorization: SECRET }, 401, "MISSING_SECRET"],
        [`?secret=${SECRET}`, { "Upstream-Method": "POST" }, 400, "MISSING_UPSTREAM_URL"],
        [`?secret=${SECRET}`, { "Upstream-URL": url }, 400, "MISSING_UPSTREAM_METHOD"],
        [`?secret=${SECRET}`, { ...both, "Upstream-Method": "TRACE" }, 400, "INVALID_UPSTREAM_METHOD"],
      ]) {
        const answer = await post(query, headers)
        equal([answer.status, await code(answer)], [status, expected], expected)
      }
    })
    const preflight = await fetch(PROXY, {
      method: "OPTIONS",
      headers: { "Access-Control-Request-Headers": "upstream-url,x-own" },
    })
    equal(preflight.status, 204, "preflight")
    equal(preflight.headers.get("Access-Control-Allow-Headers"), "upstream-url,x-own", "headers")
    equal(preflight.headers.get("Access-Control-Allow-Methods").includes("PATCH"), true, "methods")
    equal((await fetch(PROXY)).status, 405, "method")
  },

  "a URL opens one answer, until it ends": async () => {
    const { asked, url } = await begun("signed")
    asked.say("data: 1\n\n")
    const id = idOf(url)
    const read = async (url) => {
      const answer = await fetch(url)
      return [answer.status, await code(answer)]
    }
    equal(await read(`${PROXY}/${id}`), [401, "MISSING_SECRET"], "bare")
    equal(await read(signedUrl(id, now() - 1)), [401, "SIGNATURE_EXPIRED"], "expired")
    equal(await read(at(url, { signature: "00" })), [401, "SIGNATURE_INVALID"], "forged")
    equal(await read(`${PROXY}/${randomUUID()}${url.search}`), [401, "SIGNATURE_INVALID"], "another's")
    equal(await read(signedUrl(randomUUID(), now() + 60)), [404, "STREAM_NOT_FOUND"], "none")
    equal(await read(signedUrl("..%2fother", now() + 60)), [404, "STREAM_NOT_FOUND"], "no id")
    equal((await fetch(`${PROXY}/${id}?secret=${SECRET}`)).status, 200, "with the secret")
    // A live read ends with its URL.
    const started = Date.now()
    const events = await fetch(at(signedUrl(id, now() + 2), { offset: "-1", live: "sse" }))
    equal(events.status, 200, "status")
    await events.text()
    equal(Date.now() - started < 10_000, true, "it goes on")
    asked.end()
  },

  "a client whose URL has expired asks anew": async () => {
    const storage = memory()
    const url = upstream.fresh("renewed?1")
    const fetching = through(storage)(url, { requestId: "renewed" })
    ;(await upstream.asked(url)).start().end("old")
    equal(await (await fetching).text(), "old", "first")
    const [[key, text]] = storage.kept
    const kept = JSON.parse(text)
    storage.setItem(key, JSON.stringify({ ...kept, expiresAtSecs: now() - 1 }))
    const other = upstream.fresh("renewed?2")
    const again = through(storage)(other, { requestId: "renewed" })
    ;(await upstream.asked(other)).start().end("new")
    const renewed = await again
    equal([renewed.wasResumed, await renewed.text()], [false, "new"], "second")
    equal(JSON.parse(storage.kept.get(key)).streamId === kept.streamId, false, "another answer")
  },

  "whoever knows the secret looks at an answer and deletes it, while it comes, too": async () => {
    const { asked, url } = await begun("deleted")
    const id = idOf(url)
    const ask = (method, url) => fetch(url, { method })
    const own = `${PROXY}/${id}?secret=${SECRET}`
    for (const method of ["HEAD", "DELETE"]) {
      equal((await ask(method, url)).status, 401, `${method} with a signed URL`)
    }
    const head = await ask("HEAD", own)
    equal([head.status, head.headers.get("Upstream-Content-Type")], [200, "text/event-stream"], "head")
    equal(head.headers.get("Stream-Closed"), null, "closed")
    asked.say("data: 1\n\n")
    equal((await ask("DELETE", own)).status, 204, "deleted")
    await until(() => asked.isGone)
    equal((await fetch(url)).status, 404, "a read")
    equal((await ask("HEAD", own)).status, 404, "a head")
    equal((await ask("DELETE", own)).status, 204, "once more")
    equal((await ask("DELETE", `${PROXY}/none?secret=${SECRET}`)).status, 204, "what never was")
  },

  "an upstream that breaks off, or falls silent, ends its answer, and events say so": async () => {
    const events = await begun("broken-events")
    events.asked.say("data: 1\n\n")
    const bytes = await begun("broken-bytes", { "Content-Type": "text/plain" })
    bytes.asked.say("half")
    const silent = await begun("silent")
    silent.asked.say("data: 1\n\ndata: ha")
    await sleep(300)
    events.asked.breakOff()
    bytes.asked.breakOff()
    equal(`${await whole(bytes.url)}`, "half", "bytes")
    for (const { url } of [events, silent]) {
      const text = `${await whole(url)}`
      equal(text.startsWith("data: 1\n\n"), true, text)
      equal(/\n\nevent: error\ndata: \{.*"BROKEN_OFF".*\}\n\n$/.test(text), true, text)
    }
    await until(() => silent.asked.isGone)
  },

  "an answer goes on for long though nobody reads it": async () => {
    equal(`${await whole(await slow)}`, numbers(0, 16).map((n) => `data: ${n}\n\n`).join(""), "bytes")
  },

  "answers are streams of the project": async () => {
    const { asked, url } = await begun("own")
    asked.end("all")
    await whole(url)
    const { PROJECT, TOKEN } = process.env
    const own = `${server}/v1/stream/${PROJECT}/proxy/${idOf(url)}`
    equal((await fetch(own)).status, 401, "without a token")
    const answer = await fetch(own, { headers: { Authorization: `Bearer ${TOKEN}` } })
    equal([answer.status, await answer.text()], [200, "all"], "with one")
  },

  "an answer whose runtime is killed has what had come, and says that it is not whole": async () => {
    const { asked, url } = await begun("killed")
    asked.say("data: 1\n\n")
    await sleep(500)
    process.kill(Number(runtime), "SIGKILL")
    await until(() => asked.isGone)
    let isBack = false
    await until(() => {
      fetch(url).then(({ status }) => (isBack = status === 200), () => {})
      return isBack
    })
    const text = `${await whole(url, 45_000)}`
    equal(text.startsWith("data: 1\n\n") && text.includes("BROKEN_OFF"), true, text)
  },
}

await run(checks, (result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`)
})
process.exit()
