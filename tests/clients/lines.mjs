// The lines of a body, as decoders of events have them that know no line end but LF.

/** Each line as it is complete, without its line end. */
export async function* lines(body) {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true })
    const parts = rest.split("\n")
    rest = parts.pop()
    yield* parts
  }
}
