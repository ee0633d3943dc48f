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

/** How copying to a writer is stopped. */
const stops = new WeakMap()

/** Lets `copyFrames` to a writer go on as if its time were over now. */
export function stopCopying(writer) {
  stops.get(writer)?.()
}

/** The object closes a socket with this code when there is more, which has to be asked for. */
const COME_AGAIN = 4000

/**
 * Accepts a socket and writes its frames, one after the other, until one comes while more than
 * `backlog` bytes wait to be taken, `millis` are over, or the socket is closed. Frames that wait are
 * let go then, unless no others come after them. Resolves when the frame that is being written is
 * taken: `how` is "over", or "behind" when there is more to ask for, and `last` then the last `size`
 * bytes of the last frame that was written. "stuck" when the reader is gone, or has not taken it
 * until `grace` after its time.
 */
export function copyFrames(socket, writer, backlog, millis, grace, size) {
  return new Promise((resolve) => {
    let queue = []
    let waiting = 0
    let isWriting = false
    let last
    let how
    const end = (how) => {
      clearTimeout(timer)
      stops.delete(writer)
      socket.close()
      resolve({ how, last })
    }
    const gone = () => end("stuck")
    const write = (frame) => {
      const { byteLength } = frame
      isWriting = true
      last = frame.slice(-size)
      writer.write(frame).then(() => {
        isWriting = false
        waiting -= byteLength
        if (queue.length > 0) write(queue.shift())
        else if (how) end(how)
      }, gone)
    }
    const finish = (why) => {
      how ??= why
      socket.close()
      if (!isWriting) end(how)
    }
    const stop = (why) => {
      queue = []
      finish(why)
    }
    const timeIsOver = () => {
      clearTimeout(timer)
      timer = setTimeout(gone, grace)
      stop("over")
    }
    let timer = setTimeout(timeIsOver, millis)
    stops.set(writer, timeIsOver)
    socket.binaryType = "arraybuffer"
    socket.addEventListener("message", ({ data }) => {
      if (how) return
      if (waiting > backlog) return stop("behind")
      waiting += data.byteLength
      if (isWriting) queue.push(data)
      else write(data)
    })
    socket.addEventListener("close", ({ code }) => {
      if (code === COME_AGAIN) stop("behind")
      else finish("over")
    })
    socket.addEventListener("error", () => finish("over"))
    writer.closed.catch(gone)
    socket.accept()
  })
}
