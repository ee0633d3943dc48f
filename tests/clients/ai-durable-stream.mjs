// The requests of @tanstack/ai-durable-stream 0.1.6, which keeps the chunks of a run in a stream and
// replays them to readers that come back. It is strict about what it is answered; so is this.
import { equal, numbers, sleep } from "./checks.mjs"
import { lines } from "./lines.mjs"

const JSON_TYPE = { "Content-Type": "application/json" }

/** What an answer must say for the run to go on. */
function nextOffset(answer, what) {
  const offset = answer.headers.get("stream-next-offset")
  if (!answer.ok || !offset) throw new Error(`${what}: ${answer.status} with the offset ${offset}`)
  return offset
}

/**
 * A run of the application at `server`, whose paths are `prefix` and `run` in one encoded segment.
 * There may be several for the same run, on different machines.
 */
function open(server, prefix, run) {
  const url = `${server}/v1/streams/${encodeURIComponent(`${prefix}/${run}`)}`
  const producer = crypto.randomUUID()
  let seq = 0
  return {
    url,

    create: async () => {
      const answer = await fetch(url, { method: "PUT", headers: JSON_TYPE })
      return [answer.status, nextOffset(answer, "create")]
    },

    /** Appends chunks, `times` times with the same producer headers, and gives each offset. */
    append: async (chunks, first, times = 1) => {
      const headers = {
        ...JSON_TYPE,
        "Producer-Id": producer,
        "Producer-Epoch": "0",
        "Producer-Seq": `${seq++}`,
      }
      const records = chunks.map((chunk, n) => ({ v: 1, seq: first + n, chunk }))
      const offsets = []
      for (const _ of numbers(0, times)) {
        const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(records) })
        offsets.push(nextOffset(answer, "append"))
      }
      return offsets
    },

    close: async () => {
      const answer = await fetch(url, { method: "POST", headers: { "Stream-Closed": "true" } })
      equal(answer.headers.get("stream-closed"), "true", "closed")
      return nextOffset(answer, "close")
    },

    /** Records after `offset` until the stream is closed or, if so asked, all have been read. */
    read: async (offset, { isSnapshot = false, windows = [] } = {}) => {
      const records = []
      let [next, cursor] = [offset]
      for (;;) {
        const requested = [next, cursor]
        const query = new URLSearchParams({ offset: next, live: "sse" })
        if (cursor !== undefined) query.set("cursor", cursor)
        const answer = await fetch(`${url}?${query}`)
        if (!answer.ok) throw new Error(`read: ${answer.status}`)
        windows.push(requested)
        let awaitsControl = true
        for await (const { event, data } of events(answer.body)) {
          const parsed = JSON.parse(data)
          if (event === "data") {
            equal(Array.isArray(parsed), true, "data is an array")
            records.push(...parsed.map((record) => ({ ...record, offset: next })))
            awaitsControl = true
          } else if (event === "control") {
            awaitsControl = false
            next = parsed.streamNextOffset
            cursor = parsed.streamCursor
            if (!parsed.streamClosed) equal(typeof cursor, "string", "cursor of an open stream")
            if (parsed.streamClosed || (isSnapshot && parsed.upToDate)) return records
          } else {
            throw new Error(`an event of the type ${event}`)
          }
        }
        equal(awaitsControl, false, "a window ends with data whose control event is missing")
        if (next === requested[0] && cursor === requested[1]) {
          throw new Error(`a window ended where it began: ${requested}`)
        }
      }
    },
  }
}

/** The events of a body, by the package's own rules. */
async function* events(body) {
  let current = {}
  for await (const line of lines(body)) {
    if (line === "") {
      if ("event" in current || "data" in current) yield current
      current = {}
      continue
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)
    if (field === "event") current.event = value
    if (field === "data") current.data = "data" in current ? `${current.data}\n${value}` : value
  }
}

const chunks = (start, end) =>
  numbers(start, end).map((n) => ({ type: "TEXT_MESSAGE_CONTENT", delta: `${n} ß€😀\r\n` }))

/** The checks, for streams at `server`. */
export function checks(server) {
  let runs = 0
  const fresh = () => `run ${runs++}/ü?#`
  const seqs = (records) => records.map(({ seq }) => seq)

  return {
    "each answer to create, append, a duplicate, and close has the next offset": async () => {
      const run = open(server, "chat-runs", fresh())
      const [created, start] = await run.create()
      equal(created, 201, "created")
      equal(await run.create(), [200, start], "created again")
      const [first, ...again] = await run.append(chunks(0, 32), 1, 3)
      equal(first > start, true, `${first} is after ${start}`)
      equal(again.every((offset) => offset === first), true, `${again} of duplicates`)
      const [second] = await run.append(chunks(32, 40), 33)
      equal(await run.close(), second, "final offset")
      equal(await run.close(), second, "closed again")
      equal(seqs(await run.read("-1")), numbers(1, 41), "records")
    },

    "a reader that comes back at an offset has every record after it": async () => {
      const name = fresh()
      const run = open(server, "chat-runs", name)
      await run.create()
      for (const n of numbers(0, 10)) await run.append(chunks(n * 3, n * 3 + 3), n * 3 + 1)
      await run.close()
      const all = await run.read("-1")
      equal(all.map(({ chunk }) => chunk), chunks(0, 30), "chunks")
      for (const { offset, seq } of all) {
        const rest = seqs(await open(server, "chat-runs", name).read(offset))
        equal(rest.slice(rest.indexOf(seq)), numbers(seq, 31), `after ${offset}`)
      }
    },

    "a reader waits through windows in which nothing comes, and each moves on": async () => {
      const run = open(server, "chat-runs", fresh())
      await run.create()
      await run.append(chunks(0, 1), 1)
      const windows = []
      const reading = run.read("-1", { windows })
      // The server ends a window after three seconds.
      await sleep(10_000)
      await run.append(chunks(1, 2), 2)
      await run.close()
      equal(seqs(await reading), [1, 2], "records")
      equal(windows.length >= 4, true, `${windows.length} windows are several`)
      const cursors = windows.map(([, cursor]) => cursor)
      equal(new Set(cursors).size, windows.length, `${cursors} are all different`)
    },

    "a snapshot ends where the stream does, though it is open and even empty": async () => {
      const run = open(server, "chat-runs", fresh())
      await run.create()
      equal(await run.read("-1", { isSnapshot: true }), [], "of an empty run")
      await run.append(chunks(0, 5), 1)
      equal(seqs(await run.read("-1", { isSnapshot: true })), numbers(1, 6), "records")
    },

    "a machine that takes over is another producer of the same run": async () => {
      const name = fresh()
      const run = open(server, "chat-runs", name)
      await run.create()
      await run.append(chunks(0, 2), 1)
      const other = open(server, "chat-runs", name)
      equal((await other.create())[0], 200, "created before")
      await other.append(chunks(2, 4), 3)
      await other.close()
      equal(seqs(await run.read("-1")), numbers(1, 5), "records")
    },
  }
}
