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

/** The object closes a socket with this code when there is more, which has to be asked for. */
const COME_AGAIN = 4000

/**
 * Accepts a socket and writes each of its frames, until one comes while more than `backlog` bytes
 * wait to be taken, `millis` are over, or the socket is closed. Resolves when all that was written
 * is taken: `how` is "over", or "behind" when there is more to ask for, and `last` then the last
 * `size` bytes of the last frame. "stuck" when the reader is gone or takes nothing until `grace`
 * after its time.
 */
export function copyFrames(socket, writer, backlog, millis, grace, size) {
  return new Promise((resolve) => {
    let waiting = 0
    let last
    let how
    const end = (how) => {
      clearTimeout(timer)
      socket.close()
      resolve({ how, last })
    }
    const stop = (why) => {
      how ??= why
      socket.close()
      if (waiting === 0) end(how)
    }
    let timer = setTimeout(() => {
      timer = setTimeout(end, grace, "stuck")
      stop("over")
    }, millis)
    const gone = () => end("stuck")
    socket.binaryType = "arraybuffer"
    socket.addEventListener("message", ({ data }) => {
      if (how) return
      if (waiting > backlog) return stop("behind")
      const { byteLength } = data
      waiting += byteLength
      last = data.slice(-size)
      writer.write(data).then(() => {
        waiting -= byteLength
        if (how && waiting === 0) end(how)
      }, gone)
    })
    socket.addEventListener("close", ({ code }) => stop(code === COME_AGAIN ? "behind" : "over"))
    socket.addEventListener("error", () => stop("over"))
    writer.closed.catch(gone)
    socket.accept()
  })
}
