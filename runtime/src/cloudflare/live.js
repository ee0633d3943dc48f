// The paths of live reads that run once a reader and frame. They stay out of WebAssembly: crossing
// over and back costs more than all they do.

/** Sends a frame to each socket. One that is gone will be told of in its own event. */
export function sendToAll(sockets, frame) {
  for (const socket of sockets) {
    try {
      socket.send(frame)
    } catch {}
  }
}

/** Goes on when what waits to be sent is on its way: a response before what follows it. */
export function inNextTurn(goOn) {
  setTimeout(goOn, 0)
}

/**
 * Accepts the socket of a long-poll and resolves with what `then` answers to its first frame, or
 * to nothing when it is closed or the time is over.
 */
export function awaitFrame(socket, millis, tail, cursor, fromNow, then) {
  const frame = new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    const end = (frame) => {
      clearTimeout(timer)
      resolve(frame)
    }
    socket.binaryType = "arraybuffer"
    socket.addEventListener("message", ({ data }) => end(new Uint8Array(data)))
    socket.addEventListener("close", () => end())
    socket.addEventListener("error", () => end())
    socket.accept()
  })
  return frame.then((frame) => then(socket, frame, tail, cursor, fromNow))
}

const decoder = new TextDecoder()

/**
 * The response in a frame. A reader of an open stream gets its own cursor; what a reader from
 * `now` gets is not to be kept: the same URL means something else a moment later.
 */
export function responseOf(frame, cursor, fromNow) {
  const start = 4 + new DataView(frame.buffer, frame.byteOffset).getUint32(0)
  const { status, headers } = JSON.parse(decoder.decode(frame.subarray(4, start)))
  if (status < 300 && !headers["Stream-Closed"]) headers["Stream-Cursor"] = cursor
  if (fromNow) {
    headers["Cache-Control"] = "no-store"
    delete headers.ETag
  }
  return new Response(status === 204 ? null : frame.subarray(start), { status, headers })
}

/**
 * Accepts a socket and writes each of its frames, until either side ends or the time is over.
 * Resolves with true, or with false when the reader lags more than `limit` bytes behind.
 */
export function copyFrames(socket, writer, limit, millis) {
  return new Promise((resolve) => {
    let backlog = 0
    const timer = setTimeout(resolve, millis, true)
    const end = (kept) => {
      clearTimeout(timer)
      resolve(kept)
    }
    const over = () => end(true)
    socket.binaryType = "arraybuffer"
    socket.addEventListener("message", ({ data }) => {
      const size = data.byteLength
      backlog += size
      if (backlog > limit && backlog > size) return end(false)
      writer.write(data).then(() => (backlog -= size), over)
    })
    socket.addEventListener("close", over)
    socket.addEventListener("error", over)
    writer.closed.then(over, over)
    socket.accept()
  })
}
