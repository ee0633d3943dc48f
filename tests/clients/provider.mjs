// A stand-in for a provider of models, in all three formats: it answers with numbered words, as the last
// question says in brackets:
//
//   [words=20]    how many words
//   [pause=10]    the milliseconds before each of them
//   [start=0]     the milliseconds before anything is said
//   [break=7]     the connection is cut before this word
//   [silent=7]    nothing more is said from this word on
//   [fail=7]      an error takes the place of this word
//   [status=429]  the question is refused
//   [prose]       not with words, but with something to read
//
// It is also asked what it was asked: `asked()` of `open()`.
import { once } from "node:events"
import { createServer } from "node:http"
import { sleep } from "./checks.mjs"

/** The words of an answer. */
export const words = (count) => Array.from({ length: count }, (_, n) => `word-${n} `)

/** Something as models write it, with all that a page has to show. */
const PROSE = `A log is a list to which you can only **add at the end**. Nothing that is in it changes.

1. Whoever writes puts the next entry behind the last one.
2. Whoever reads remembers where they are, and goes on from there.

So two readers who start at the same entry have always read the same:

\`\`\`js
const { messages, next } = await read(log, offset)
for (const message of messages) show(message) // in the order in which they came, and each of them once
\`\`\`

That is why a page can go away in the middle of a sentence. When it is back, it asks for \
what is behind its \`offset\`, and you see the rest.`

/** What a question asks for. */
function wish(text) {
  const of = (name, usual) => Number(new RegExp(`\\[${name}=(\\d+)\\]`).exec(text)?.[1] ?? usual)
  return {
    count: of("words", 20),
    pause: of("pause", 10),
    start: of("start", 0),
    breaks: of("break", Infinity),
    silent: of("silent", Infinity),
    fails: of("fail", Infinity),
    status: of("status", 200),
  }
}

/** How each format says it. */
const formats = {
  "/v1/chat/completions": {
    conversation: ({ messages }) => messages,
    key: ({ authorization }) => authorization?.replace("Bearer ", ""),
    start: () => [chunk({ role: "assistant", content: "" })],
    word: (word) => [chunk({ content: word })],
    end: () => [chunk({}, "stop"), "data: [DONE]\n\n"],
    fail: (message) => [data({ error: { message, type: "server_error" } })],
  },
  "/v1/responses": {
    conversation: ({ input }) => input,
    key: ({ authorization }) => authorization?.replace("Bearer ", ""),
    start: () => [named({ type: "response.created", response: { status: "in_progress" } })],
    word: (delta) => [named({ type: "response.output_text.delta", output_index: 0, delta })],
    end: () => [named({ type: "response.completed", response: { status: "completed" } })],
    fail: (message) => [named({ type: "response.failed", response: { error: { message } } })],
  },
  "/v1/messages": {
    conversation: ({ messages }) => messages,
    key: (headers) => headers["anthropic-version"] && headers["x-api-key"],
    start: () => [
      named({ type: "message_start", message: { role: "assistant", content: [] } }),
      named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
      named({ type: "ping" }),
    ],
    word: (text) => [named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })],
    end: () => [
      named({ type: "content_block_stop", index: 0 }),
      named({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } }),
      named({ type: "message_stop" }),
    ],
    fail: (message) => [named({ type: "error", error: { type: "overloaded_error", message } })],
  },
}

const data = (value) => `data: ${JSON.stringify(value)}\n\n`
const named = (value) => `event: ${value.type}\n${data(value)}`
const chunk = (delta, finish_reason = null) => data({ choices: [{ index: 0, delta, finish_reason }] })

/** Opens a provider on a free port, which wants this key. */
export async function open(key = "the key") {
  const asked = []
  const server = createServer(async (request, response) => {
    const format = formats[request.url]
    let body = ""
    for await (const part of request.setEncoding("utf8")) body += part
    const refuse = (status, message) => {
      response.writeHead(status, { "Content-Type": "application/json" })
      response.end(JSON.stringify({ error: { message } }))
    }
    if (!format) return refuse(404, `nothing is at ${request.url}`)
    const document = JSON.parse(body)
    const conversation = format.conversation(document)
    const call = { url: request.url, model: document.model, conversation, said: 0, isGone: false }
    asked.push(call)
    response.on("close", () => (call.isGone = !response.writableFinished))
    if (format.key(request.headers) !== key) return refuse(401, "the key is wrong")
    if (document.stream !== true) return refuse(400, "it wants no events")
    const { count, pause, start, breaks, silent, fails, status } = wish(conversation.at(-1).content)
    if (status !== 200) return refuse(status, "it was told to refuse")
    await sleep(start)
    response.writeHead(200, { "Content-Type": "text/event-stream" })
    const say = (events) => response.write(events.join(""))
    say(format.start())
    const isProse = conversation.at(-1).content.includes("[prose]")
    for (const [n, word] of (isProse ? PROSE.split(/(?<= )/) : words(count)).entries()) {
      await sleep(pause)
      if (call.isGone) return
      if (n >= silent) return
      if (n >= breaks) return response.destroy()
      if (n >= fails) return response.end(format.fail("it was told to fail").join(""))
      say(format.word(word))
      call.said = n + 1
    }
    response.end(format.end().join(""))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** All that it was asked so far. */
    asked: () => asked,
    /** Ends at once, and with it whatever it is saying. */
    kill() {
      server.closeAllConnections()
      server.close()
    },
  }
}

// As a program: prints where it is, and ends with whoever has started it.
if (process.argv[1] === import.meta.filename) {
  const { url } = await open(process.argv[2])
  console.log(url)
}
