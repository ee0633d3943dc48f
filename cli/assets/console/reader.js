// Follows a stream: what is there, and then what comes. When the connection ends it goes on where it was.

import { ask, Refused, streamUrl } from "./api.js"
import { elements } from "./json.js"
import { kind, offsetAt, position } from "./format.js"
import { events } from "./sse.js"

/**
 * What is known of how it goes.
 * @typedef {"connecting" | "catching up" | "live" | "away" | "closed" | "stopped"} State
 */

/**
 * A message or a piece of text or bytes.
 * @typedef {{ text?: string, bytes?: Uint8Array, position: number | null, size: number }} Item
 */

/** Milliseconds to wait before the first, the second … attempt to connect again. */
const WAITS = [500, 1000, 2000, 4000, 8000, 15000]
/** So long it works before the page has its turn, in milliseconds. */
const TURN = 8
/** Bytes of a stream are shown in pieces of this many. */
const PIECE = 1024

/**
 * Follows until it is told to stop, the stream is closed, or nothing more can come.
 * @param {string} path the whole path
 * @param {string} contentType
 * @param {string} offset where it begins
 * @param {object} on
 * @param {(item: Item, isLive: boolean) => void} on.item
 * @param {(state: State, more: { offset: string, message?: string }) => void} on.state
 * @param {AbortSignal} signal
 */
export async function follow(path, contentType, offset, on, signal) {
  const read = READERS[kind(contentType)]
  let isLive = false
  let failures = 0
  const say = (state, message) => signal.aborted || on.state(state, { offset, message })
  say("connecting")
  while (!signal.aborted) {
    try {
      const query = `?offset=${encodeURIComponent(offset)}&live=sse`
      const answer = await ask("GET", streamUrl(path) + query, { signal, isQuiet: isLive })
      if (!isLive) say("catching up")
      // A piece is behind the offset of the piece before it, which its control event says.
      let data = null
      let isFollowed = false
      for await (const event of events(answer.body)) {
        if (event.event === "data") data = event.data
        if (event.event !== "control") continue
        const control = JSON.parse(event.data)
        if (data !== null) await take(read(data, offset, control.streamNextOffset), isLive, on, signal)
        if (signal.aborted) return
        data = null
        offset = control.streamNextOffset
        failures = 0
        isFollowed = true
        if (control.streamClosed) return say("closed")
        isLive ||= control.upToDate === true
        if (isLive) say("live")
      }
      if (!isFollowed) throw new Error("The server has ended its answer without an event that says where to go on.")
    } catch (error) {
      if (signal.aborted) return
      const earliest = error instanceof Refused && error.status === 410 && error.answer?.headers.get("Stream-Earliest-Offset")
      if (earliest && earliest !== offset) {
        offset = earliest
        continue
      }
      if (isFinal(error)) return say("stopped", error.message)
      say("away", error.message)
      await pause(WAITS[Math.min(failures, WAITS.length - 1)], signal)
      failures += 1
    }
  }
}

/** What is refused for a reason that does not go away by itself. */
const isFinal = (error) =>
  error instanceof Refused && error.status >= 400 && error.status < 500 && ![408, 421, 429].includes(error.status)

async function take(items, isLive, on, signal) {
  let started = performance.now()
  for (const item of items) {
    if (signal.aborted) return
    on.item(item, isLive)
    if (performance.now() - started < TURN) continue
    await new Promise((resolve) => setTimeout(resolve))
    started = performance.now()
  }
}

/** What is in the data of an event that lies between two offsets. */
const READERS = {
  *json(data, from, to) {
    const texts = [...elements(data)]
    const end = position(to)
    // The first event may begin with `-1`, or where a message that was dropped lay.
    let at = end === null ? null : end - texts.length
    for (const text of texts) {
      yield { text, position: at, size: encoder.encode(text).length }
      if (at !== null) at += 1
    }
  },

  *text(data, from) {
    yield { text: data, position: startOf(from), size: encoder.encode(data).length }
  },

  *bytes(data, from, to) {
    const all = Uint8Array.from(atob(data.replace(/[\r\n]/g, "")), (one) => one.charCodeAt(0))
    const end = position(to)
    for (let at = 0; at < all.length; at += PIECE) {
      const bytes = all.slice(at, at + PIECE)
      yield { bytes, position: end === null ? null : end - all.length + at, size: bytes.length }
    }
  },
}

const encoder = new TextEncoder()

const startOf = (offset) => (offset === "-1" ? 0 : position(offset))

function pause(millis, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true })
  })
}

/**
 * Where a reader begins that wants the last of a stream alone: so many messages or bytes before the tail.
 * Where offsets tell nothing it is the start.
 */
export function recent(contentType, tail, earliest) {
  const end = position(tail)
  if (end === null) return "-1"
  const first = position(earliest) ?? 0
  const many = kind(contentType) === "json" ? 500 : 64 * 1024
  const start = Math.max(first, end - many)
  return start === 0 ? "-1" : offsetAt(start)
}
