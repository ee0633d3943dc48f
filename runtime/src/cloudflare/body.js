// Request bodies that do not come in one small piece, and those that nobody wants. Whatever stops
// reading one leaves it where somebody else can go on.

/** How much of a body is read at once, in bytes. */
const PART = 1 << 16

/**
 * How much of an encoded body is decoded at once, in bytes. It may become a thousand times as much,
 * which the decoder keeps until somebody takes it.
 */
const STEP = 1 << 12

/**
 * The length of a request's body that comes as it is and says how long it is: 0 of one that is not
 * there, -1 of any other.
 */
export function plainLength(request) {
  const { headers } = request
  const length = headers.get("Content-Length")
  if (length === null) return request.body === null ? 0 : -1
  return length === "0" || headers.get("Content-Encoding") === null ? +length : -1
}

/**
 * Shows `take` all bytes of a request's body, in order, until it says no. Resolves with whether it
 * never did. What it is shown is overwritten afterwards.
 */
export async function readBody(request, take) {
  const reader = request.body.getReader({ mode: "byob" })
  try {
    let part = new Uint8Array(PART)
    for (;;) {
      const { value, done } = await reader.read(part)
      if (done || !take(value)) return done
      part = new Uint8Array(value.buffer)
    }
  } finally {
    reader.releaseLock()
  }
}

/**
 * Shows `take` what a request's body becomes when it is decoded, until it says no. Resolves with
 * whether it never did and no more than `most` bytes came, or with what is wrong with the encoding.
 */
export async function decodeBody(request, format, most, take) {
  const { readable, writable } = new DecompressionStream(format)
  let outcome
  const settle = (value) => (outcome ??= value)
  const decoded = takeAll(readable, take).then(settle, (error) => settle(String(error)))
  const writer = writable.getWriter()
  const reader = request.body.getReader()
  try {
    let length = 0
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      length += value.length
      if (length > most) return false
      for (let at = 0; at < value.length; at += STEP) {
        // That it fails is heard of by whoever takes what is decoded.
        writer.write(value.subarray(at, at + STEP)).catch(() => {})
        // Then everything is taken: time goes on only when nothing else can.
        await scheduler.wait(0)
        if (outcome !== undefined) return outcome
      }
    }
    writer.close().catch(() => {})
    return await decoded
  } finally {
    writer.abort().catch(() => {})
    reader.releaseLock()
  }
}

async function takeAll(readable, take) {
  for await (const chunk of readable) if (!take(chunk)) return false
  return true
}

/**
 * Reads what is left of a request's body and throws it away, up to so many bytes and for so many
 * milliseconds. A body that says that it is longer is left alone.
 */
export async function drainBody(request, most, millis) {
  const { body, headers } = request
  if (!body || headers.get("Content-Length") > most) return
  let left = most
  // A body that breaks off takes its connection with it, and there is nobody to be answered.
  const drained = readBody(request, ({ length }) => (left -= length) > 0).catch(() => {})
  let timer
  const late = new Promise((resolve) => (timer = setTimeout(resolve, millis)))
  await Promise.race([drained, late])
  left = 0
  clearTimeout(timer)
}
