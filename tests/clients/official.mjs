// What the official client does with a server that answers, as its README shows it.
import {
  DurableStream,
  FetchError,
  IdempotentProducer,
  StaleEpochError,
  stream,
} from "@durable-streams/client"
import { equal, freshUrls, numbers, sleep, until } from "./checks.mjs"

const JSON_TYPE = "application/json"

/** A `fetch` that notes of each answer the method, the value of `live`, and the status. */
function notingFetch() {
  const answers = []
  const noting = async (url, init) => {
    const answer = await fetch(url, init)
    const live = new URL(url).searchParams.get("live") ?? "once"
    answers.push(`${init.method} ${live} ${answer.status}`)
    return answer
  }
  return { answers, fetch: noting }
}

const readAll = async (url) => (await stream({ url, live: false })).json()

/**
 * The checks, for streams at `server`, which lets a long-poll wait for half a second and an answer of
 * events last for three.
 */
export function checks(server) {
  const fresh = freshUrls(server, "official")
  const create = (contentType) => DurableStream.create({ url: fresh(), contentType })

  /** Follows a stream of numbers whose writer pauses twice, for so many milliseconds. */
  const follow = async (live, pause) => {
    const handle = await create(JSON_TYPE)
    const noted = notingFetch()
    const write = async () => {
      for (const n of numbers(0, 60)) {
        await handle.append(JSON.stringify(n))
        await sleep(n === 19 || n === 39 ? pause : 10)
      }
      await handle.close({ body: "60" })
    }
    const writing = write()
    const res = await stream({ url: handle.url, live, fetch: noted.fetch })
    const seen = []
    for await (const item of res.jsonStream()) seen.push(item)
    await writing
    equal(seen, numbers(0, 61), "messages")
    equal(res.streamClosed, true, "closed")
    return noted.answers
  }

  const followByLongPoll = async (live) => {
    const answers = await follow(live, 1000)
    equal(answers.includes("GET long-poll 200"), true, "answered with messages")
    equal(answers.filter((answer) => answer === "GET long-poll 204").length >= 2, true, "in vain")
    equal(answers.includes("GET sse 200"), false, "connected by SSE")
  }

  /** Reads what was there and what comes, in bytes. */
  const followBytes = async (live) => {
    const handle = await create("application/octet-stream")
    const all = new Uint8Array(numbers(0, 512))
    const write = async (start, end) => {
      for (; start < end; start += 64) await handle.append(all.subarray(start, start + 64))
    }
    await write(0, 256)
    const res = await stream({ url: handle.url, live })
    const seen = []
    res.subscribeBytes(({ data }) => {
      seen.push(...data)
    })
    await until(() => seen.length === 256)
    await write(256, 512)
    await until(() => seen.length >= 512)
    equal(seen, [...all], "bytes")
    res.cancel()
  }

  return {
    "creates, appends, and reads what is there": async () => {
      const handle = await create(JSON_TYPE)
      await handle.append(JSON.stringify({ text: "ß€😀\r\n" }), { seq: "1" })
      // One array is one message.
      await handle.append("[1, [2]]")
      const res = await stream({ url: handle.url, live: false })
      equal(await res.json(), [{ text: "ß€😀\r\n" }, [1, [2]]], "messages")
      const connected = await DurableStream.connect({ url: handle.url })
      equal(connected.contentType, JSON_TYPE, "type")
      equal((await connected.head()).offset, res.offset, "offset")
    },

    "batches appends that overlap, in order": async () => {
      const noted = notingFetch()
      const handle = await DurableStream.create({
        url: fresh(),
        contentType: JSON_TYPE,
        fetch: noted.fetch,
      })
      await Promise.all(numbers(0, 200).map((n) => handle.append(JSON.stringify(n))))
      equal(await readAll(handle.url), numbers(0, 200), "messages")
      equal(noted.answers, ["PUT once 201", "POST once 204", "POST once 204"], "answers")
    },

    "resumes from the offset of any batch": async () => {
      const handle = await create(JSON_TYPE)
      for (const n of numbers(0, 9)) await handle.append(`{"n":${n}}`)
      const batches = []
      let count = 0
      const live = await stream({ url: handle.url, live: "sse" })
      live.subscribeJson(({ items, offset }) => {
        count += items.length
        batches.push({ count, offset })
      })
      await until(() => count === 9)
      for (const n of numbers(9, 12)) {
        await handle.append(`{"n":${n}}`)
        await until(() => count === n + 1)
      }
      live.cancel()
      equal([...new Set(batches.map(({ count }) => count))], [9, 10, 11, 12], "batches")
      for (const { count, offset } of batches) {
        const res = await stream({ url: handle.url, offset, live: false })
        const rest = (await res.json()).map(({ n }) => n)
        equal(rest, numbers(count, 12), `after ${offset}`)
      }
    },

    "follows with live: true, and asks again when a wait was in vain": () =>
      followByLongPoll(true),

    "follows by long-poll, and asks again when a wait was in vain": () =>
      followByLongPoll("long-poll"),

    "follows by SSE, and connects again when the server ends an answer": async () => {
      const answers = await follow("sse", 3300)
      const connections = answers.filter((answer) => answer === "GET sse 200").length
      equal(connections >= 3, true, `${connections} connections are enough`)
      equal(connections, answers.length - 1, "answers after the first one")
    },

    "reads bytes by long-poll": () => followBytes("long-poll"),

    "reads bytes by SSE": () => followBytes("sse"),

    "reads text by SSE with every line end as LF": async () => {
      const handle = await create("text/plain")
      const res = await stream({ url: handle.url, live: "sse" })
      let seen = ""
      res.subscribeText(({ text }) => {
        seen += text
      })
      const text = " a\r\nb\rc\n\n\n d\n\revent: control\ndata: {}\r\n\r\n: e\r\r"
      await handle.append(text)
      await handle.append("|")
      await until(() => seen.endsWith("|"))
      equal(seen, `${text.replace(/\r\n?/g, "\n")}|`, "text")
      res.cancel()
      const raw = await stream({ url: handle.url, live: false })
      equal(await raw.text(), `${text}|`, "raw text")
    },

    "produces in batches that overtake each other, once and in order": async () => {
      const handle = await create(JSON_TYPE)
      const noted = notingFetch()
      const errors = []
      const producer = new IdempotentProducer(handle, "writer", {
        maxBatchBytes: 100,
        fetch: noted.fetch,
        onError: (error) => errors.push(`${error}`),
      })
      for (const n of numbers(0, 2000)) producer.append(JSON.stringify(n))
      await producer.flush()
      const { finalOffset } = await producer.close(JSON.stringify(2000))
      equal(errors, [], "errors")
      equal(noted.answers.length > 50, true, `${noted.answers.length} requests are many`)
      const res = await stream({ url: handle.url, live: false })
      equal(await res.json(), numbers(0, 2001), "messages")
      equal([res.offset, res.streamClosed], [finalOffset, true], "end")
    },

    "fences a producer that was replaced": async () => {
      const handle = await create(JSON_TYPE)
      const errors = []
      const first = new IdempotentProducer(handle, "writer", {
        onError: (error) => errors.push(error),
      })
      first.append("1")
      await first.flush()
      const second = new IdempotentProducer(handle, "writer", { epoch: 1 })
      second.append("2")
      await second.flush()
      first.append("3")
      await first.flush().catch(() => {})
      equal(errors.map((error) => error instanceof StaleEpochError), [true], "stale")
      equal(errors[0].currentEpoch, 1, "epoch")
      const third = new IdempotentProducer(handle, "writer", { autoClaim: true })
      third.append("4")
      await third.flush()
      equal(third.epoch, 2, "claimed epoch")
      equal(await readAll(handle.url), [1, 2, 4], "messages")
    },

    "produces a batch of 14.7 MB": async () => {
      const handle = await create(JSON_TYPE)
      const noted = notingFetch()
      const producer = new IdempotentProducer(handle, "writer", {
        maxBatchBytes: 14_700_000,
        lingerMs: 60_000,
        fetch: noted.fetch,
      })
      const message = (n) => `${n}:`.padEnd(9_998, "x")
      for (const n of numbers(0, 1470)) producer.append(JSON.stringify(message(n)))
      await producer.flush()
      equal(noted.answers, ["POST once 200"], "answers")
      const check = (items) => {
        equal(items.length, 1470, "length")
        equal(items.findIndex((item, n) => item !== message(n)), -1, "first that differs")
      }
      check(await (await stream({ url: handle.url })).json())
      // With `live: false` the client stops after one answer, and says whether there is more.
      const items = []
      let [offset, upToDate] = ["-1", false]
      while (!upToDate) {
        const res = await stream({ url: handle.url, offset, live: false })
        items.push(...(await res.json()))
        ;({ offset, upToDate } = res)
      }
      check(items)
    },

    "knows a closed stream and a missing one": async () => {
      const handle = await create(JSON_TYPE)
      const { finalOffset } = await handle.close({ body: "1" })
      // The client's `StreamClosedError` is behind its own `FetchError`, which says the same.
      const refused = await handle.append("2").catch((error) => error)
      equal([refused instanceof FetchError, refused.status], [true, 409], `${refused}`)
      equal(refused.headers["stream-closed"], "true", "closed")
      equal(refused.headers["stream-next-offset"], finalOffset, "final offset")
      const missing = await stream({ url: fresh() }).catch((error) => error)
      equal([missing instanceof FetchError, missing.status], [true, 404], `${missing}`)
    },
  }
}
