// Follows one stream: what is there, and then what comes, until it is closed.

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 8000

/**
 * Follows the stream at `url` from `offset` on. `on` is told of it:
 * `messages(messages, offset)` when some have come, with where to go on behind them;
 * `closed()` when nothing comes any more;
 * `connected(isSo)` as connections come and go;
 * `missing(status)` when there is no such stream, or it may not be read; it is asked for again.
 * Gives a function that ends it.
 */
export function follow(url, offset, on) {
  let source
  let timer
  let pause = FIRST_PAUSE
  let isOver = false

  function connect() {
    source = new EventSource(`${url}?offset=${offset}&live=sse`)
    source.onopen = () => {
      pause = FIRST_PAUSE
      on.connected(true)
    }
    // The id of an event is the offset behind it. A browser that connects again sends it.
    source.addEventListener("data", ({ data, lastEventId }) => {
      offset = lastEventId
      on.messages(JSON.parse(data), offset)
    })
    source.addEventListener("control", ({ data }) => {
      if (!isOver && JSON.parse(data).streamClosed) {
        end()
        on.closed()
      }
    })
    source.onerror = async () => {
      // The server ends each response after a while, and the browser comes back by itself.
      if (source.readyState === EventSource.CONNECTING) {
        timer ??= setTimeout(() => on.connected(false), 1500)
        return
      }
      source.close()
      const status = await statusOf(url)
      if (isOver) return
      if (status >= 400 && status < 500) on.missing(status)
      else on.connected(false)
      if (isOver) return
      timer = setTimeout(connect, pause)
      pause = Math.min(pause * 2, LONGEST_PAUSE)
    }
    source.addEventListener("open", () => {
      clearTimeout(timer)
      timer = undefined
    })
  }

  function end() {
    isOver = true
    clearTimeout(timer)
    source.close()
  }

  connect()
  return end
}

/** What the server says to a request: an EventSource does not tell. */
async function statusOf(url) {
  const answer = await fetch(url, { method: "HEAD" }).catch(() => null)
  return answer?.status ?? 0
}
