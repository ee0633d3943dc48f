// Server-Sent Events out of the body of an answer. `EventSource` cannot say who asks, so it is not used.

/**
 * The events of a body, as they come.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{ event: string, data: string }>}
 */
export async function* events(body) {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let event = ""
  let data = []
  // What has come of a line that is not over yet, in the parts that it came in.
  let parts = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const text = decoder.decode(value, { stream: true })
      let start = 0
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
        parts.push(text.slice(start, end))
        start = end + 1
        const line = parts.join("").replace(/\r$/, "")
        parts = []
        if (line === "") {
          if (data.length > 0) yield { event: event || "message", data: data.join("\n") }
          event = ""
          data = []
          continue
        }
        const colon = line.indexOf(":")
        const name = colon < 0 ? line : line.slice(0, colon)
        const said = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1)
        if (name === "event") event = said
        else if (name === "data") data.push(said)
      }
      parts.push(text.slice(start))
    }
  } finally {
    // Whoever stops listening hangs up.
    reader.cancel().catch(() => {})
  }
}
