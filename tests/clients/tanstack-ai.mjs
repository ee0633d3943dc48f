// Chats of TanStack AI: a stream a chat, which every page of it follows.
import {
  durableStreamConnection,
  materializeSnapshotFromDurableStream,
  toDurableChatSessionResponse,
  toDurableStreamResponse,
} from "@durable-streams/tanstack-ai-transport"
import { equal, freshUrls, numbers, sleep } from "./checks.mjs"

const DELTAS = numbers(0, 50).map((n) => `${n} ß€😀\r\n `)
const TEXT = DELTAS.join("")

/** An answer of a model, which comes in pieces. */
async function* answer(messageId, pause) {
  yield { type: "TEXT_MESSAGE_START", messageId, role: "assistant" }
  for (const delta of DELTAS) {
    await sleep(pause)
    yield { type: "TEXT_MESSAGE_CONTENT", messageId, delta, content: "all so far, which is left out" }
  }
  yield { type: "TEXT_MESSAGE_END", messageId }
}

const question = (id) => ({ id, role: "user", parts: [{ type: "text", content: `question ${id}` }] })

/** A message as a page shows it. */
const shown = ({ id, role, parts }) => [id, role, parts.map(({ content }) => content).join("")]

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "tanstack-ai")

  const say = (writeUrl, id, pause, mode = "await") =>
    toDurableChatSessionResponse({
      stream: { writeUrl },
      newMessages: [question(id)],
      responseStream: answer(`answer ${id}`, pause),
      mode,
    })

  /** Reads until `isLast` is said of a chunk. */
  const subscribe = async (readUrl, initialOffset, isLast) => {
    const aborter = new AbortController()
    const connection = durableStreamConnection({ sendUrl: readUrl, initialOffset })
    const chunks = []
    for await (const chunk of connection.subscribe(aborter.signal)) {
      chunks.push(chunk)
      if (isLast(chunk)) aborter.abort()
    }
    return chunks
  }

  const ends = (id) => ({ type, messageId }) =>
    type === "TEXT_MESSAGE_END" && messageId === `answer ${id}`

  const both = (id) => [
    [id, "user", `question ${id}`],
    [`answer ${id}`, "assistant", TEXT],
  ]

  return {
    "a page that is loaded has all messages, and goes on from there": async () => {
      const url = fresh()
      for (const id of ["1", "2"]) await say(url, id, 0)
      const { messages, offset } = await materializeSnapshotFromDurableStream({ readUrl: url })
      equal(messages.map(shown), [...both("1"), ...both("2")], "messages")
      const reading = subscribe(url, offset, ends("3"))
      await say(url, "3", 5, "immediate")
      const chunks = await reading
      equal(chunks.length, DELTAS.length + 5, "chunks that came")
      const deltas = chunks.filter(({ messageId }) => messageId === "answer 3")
      equal(deltas.map(({ delta }) => delta ?? "").join(""), TEXT, "text that came")
      equal(deltas.some(({ content }) => content), false, "content is left out")
    },

    "a page without an offset starts with all messages at once": async () => {
      const url = fresh()
      await say(url, "1", 0)
      const reading = subscribe(url, undefined, ends("2"))
      await sleep(200)
      await say(url, "2", 5)
      const [first, ...chunks] = await reading
      equal(first.type, "MESSAGES_SNAPSHOT", "first chunk")
      equal(first.messages.map(shown), both("1"), "messages")
      equal(chunks.length, DELTAS.length + 5, "chunks that came")
    },

    "two pages that speak at once have the same chat": async () => {
      const url = fresh()
      await say(url, "0", 0)
      await Promise.all(["1", "2", "3"].map((id) => say(url, id, 1)))
      const [one, other] = await Promise.all(
        numbers(0, 2).map(() => materializeSnapshotFromDurableStream({ readUrl: url })),
      )
      equal(one, other, "both")
      const all = ["0", "1", "2", "3"].flatMap(both)
      const sorted = (messages) => messages.map((message) => JSON.stringify(message)).sort()
      equal(sorted(one.messages.map(shown)), sorted(all), "messages")
    },

    "a single answer is kept in a stream that is closed": async () => {
      const writeUrl = fresh()
      const options = { stream: { writeUrl }, mode: "await" }
      const response = await toDurableStreamResponse(answer("1", 0), options)
      const { streamUrl, finalOffset } = await response.json()
      const head = await fetch(streamUrl, { method: "HEAD" })
      equal(head.headers.get("stream-closed"), "true", "closed")
      equal(head.headers.get("stream-next-offset"), finalOffset, "final offset")
    },
  }
}
