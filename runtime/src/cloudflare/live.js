// The paths of live reads that run once a reader and frame. They stay out of WebAssembly: crossing
// over and back costs more than all they do.

/** Calls back when the client of a request has gone, if the worker is set up to hear of that. */
function whenGone({ signal }, then) {
  if (signal?.aborted) then()
  else signal?.addEventListener("abort", then)
}

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
 * to nothing when it is closed, its client gone, or the time over.
 */
export function awaitFrame(request, socket, millis, tail, cursor, fromNow, then) {
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
    whenGone(request, () => end())
    socket.accept()
  })
  return frame.then((frame) => then(socket, frame, tail, cursor, fromNow))
}

/** The object closes a socket with this code when there is more, which has to be asked for. */
const COME_AGAIN = 4000

// What waits for readers that follow, all those of the isolate together. A request that the platform
// has dropped is never told; so what nobody has taken for long is forgotten when others need room.
const followers = new Set()
let taken = 0

function forget(sink) {
  if (followers.delete(sink)) taken -= sink.waiting
  sink.waiting = 0
}

function hasRoom(bytes, room, grace) {
  if (taken + bytes <= room) return true
  const late = Date.now() - grace
  for (const sink of followers) {
    if (sink.waiting > 0 && sink.written < late) {
      forget(sink)
      sink.isLate = true
    }
  }
  return taken + bytes <= room
}

/** Where events are written to. A `heartbeat` is written when nothing was for `beat`. */
export class Events {
  constructor(writer, request, beat, heartbeat) {
    this.writer = writer
    /** Writes that have not been taken. */
    this.writes = 0
    /** When that was begun or done the last time. */
    this.written = Date.now()
    /** Bytes of frames that have not been taken. */
    this.waiting = 0
    /** Whether they have not been for long, while others needed their room. */
    this.isLate = false
    // A timer for each event would cost more than the event; so it looks at the time when it rings.
    const ring = () => {
      if (this.isLate) return this.abort("others need the room")
      const left = this.written + beat - Date.now()
      if (left <= 0 && this.writes === 0) this.write(heartbeat).catch(() => {})
      this.timer = setTimeout(ring, left > 0 ? left : beat)
    }
    this.timer = setTimeout(ring, beat)
    whenGone(request, () => this.abort("the client has gone"))
    writer.closed.catch(() => this.end())
  }

  /** Writes bytes. Resolves when they were taken. */
  write(bytes) {
    this.writes += 1
    this.written = Date.now()
    return this.writer.write(bytes).then(() => {
      this.writes -= 1
      this.written = Date.now()
    })
  }

  end() {
    clearTimeout(this.timer)
    forget(this)
  }

  /** Lets `copy` go on as if its time were over now. */
  stop() {
    this.timeIsOver?.()
  }

  /** Ends it regularly. Resolves when everything was taken. */
  close() {
    this.end()
    return this.writer.close()
  }

  /** Breaks it off. */
  abort(reason) {
    this.end()
    this.writer.abort(new Error(reason)).catch(() => {})
  }

  /**
   * Accepts a socket and writes its frames, one after the other, until one comes while more than
   * `backlog` bytes wait to be taken, or more than `room` for all who follow, `millis` are over, or
   * the socket is closed. Frames that wait are let go then, unless no others come after them.
   * Resolves when the frame that is being written is taken: `how` is "over", or "behind" when there
   * is more to ask for, and `last` then the last `size` bytes of the last frame that was written.
   * "stuck" when the reader is gone, or has not taken it until `grace` after its time, or not for so
   * long while others needed the room.
   */
  copy(socket, backlog, room, millis, grace, size) {
    return new Promise((resolve) => {
      let queue = []
      let isWriting = false
      let last
      let how
      const end = (how) => {
        clearTimeout(timer)
        this.timeIsOver = undefined
        forget(this)
        socket.close()
        resolve({ how, last })
      }
      const gone = () => end("stuck")
      const take = (bytes) => {
        taken += bytes
        this.waiting += bytes
      }
      const write = (frame) => {
        isWriting = true
        last = frame.slice(-size)
        this.write(frame).then(() => {
          isWriting = false
          if (this.isLate) return end("over")
          take(-frame.byteLength)
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
        for (const frame of queue) take(-frame.byteLength)
        queue = []
        finish(why)
      }
      const timeIsOver = () => {
        clearTimeout(timer)
        timer = setTimeout(gone, grace)
        stop("over")
      }
      let timer = setTimeout(timeIsOver, millis)
      this.timeIsOver = timeIsOver
      followers.add(this)
      socket.binaryType = "arraybuffer"
      socket.addEventListener("message", ({ data }) => {
        if (how || this.isLate) return
        const { byteLength } = data
        if (this.waiting > backlog || !hasRoom(byteLength, room, grace)) return stop("behind")
        take(byteLength)
        if (isWriting) queue.push(data)
        else write(data)
      })
      socket.addEventListener("close", ({ code }) => {
        if (code === COME_AGAIN) stop("behind")
        else finish("over")
      })
      socket.addEventListener("error", () => finish("over"))
      this.writer.closed.catch(gone)
      socket.accept()
    })
  }
}
