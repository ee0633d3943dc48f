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
export function readBody(request, take) {
  return takeParts(request.body, PART, take)
}

/**
 * Shows `take` what a request's body becomes when it is decoded, until it says no. Resolves with
 * whether it never did and no more than `most` bytes came, or with what is wrong with the encoding.
 */
export async function decodeBody(request, format, most, take) {
  const { readable, writable } = new DecompressionStream(format)
  let outcome
  const settle = (value) => (outcome ??= value)
  const decoded = takeParts(readable, PART, take).then(settle, (error) => settle(String(error)))
  const writer = writable.getWriter()
  // That something fails here is heard of by whoever takes what is decoded.
  const ignore = () => {}
  let length = 0
  try {
    const isWhole = await takeParts(request.body, STEP, async (part) => {
      length += part.length
      if (length > most) return settle(false)
      await writer.write(part).catch(ignore)
      // Then everything is taken: time goes on only when nothing else can.
      await scheduler.wait(0)
      return outcome === undefined
    })
    if (isWhole) {
      writer.close().catch(ignore)
      await decoded
    }
    return outcome
  } finally {
    writer.abort().catch(ignore)
  }
}

async function takeParts(stream, size, take) {
  const reader = stream.getReader({ mode: "byob" })
  try {
    let part = new Uint8Array(size)
    for (;;) {
      const { value, done } = await reader.read(part)
      if (done || !(await take(value))) return done
      part = new Uint8Array(value.buffer)
    }
  } finally {
    reader.releaseLock()
  }
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
