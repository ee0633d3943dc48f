// Answers of the AI SDK that are kept in streams, so that a page can be loaded again in the middle.
import { DurableStream } from "@durable-streams/client"
import { createDurableChatTransport, toDurableStreamResponse } from "@durable-streams/aisdk-transport"
import { createUIMessageStream, readUIMessageStream } from "ai"
import { equal, freshUrls, numbers, sleep } from "./checks.mjs"

const DELTAS = numbers(0, 50).map((n) => `${n} ß€😀\r\n "data: \\" `)

/** An answer of a model, which comes in pieces. */
function answer(pause) {
  return createUIMessageStream({
    execute: async ({ writer }) => {
      writer.write({ type: "start", messageId: "answer" })
      writer.write({ type: "text-start", id: "text" })
      for (const delta of DELTAS) {
        writer.write({ type: "text-delta", id: "text", delta })
        await sleep(pause)
      }
      writer.write({ type: "text-end", id: "text" })
      writer.write({ type: "finish" })
    },
  })
}

/** What a page makes of an answer's chunks, at last. */
async function lastMessage(chunks) {
  let last
  for await (const message of readUIMessageStream({ stream: chunks })) last = message
  return last
}

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "ai-sdk")

  /** The two ends of a chat whose answer is kept in a stream. */
  const chat = (source, mode) => {
    const writeUrl = fresh()
    const writing = []
    const transport = createDurableChatTransport({
      api: "http://chat.invalid/api/chat",
      // What the application answers.
      fetchClient: async (_, { method }) => {
        if (method === "GET") return Response.json({ streamUrl: writeUrl })
        const waitUntil = (work) => writing.push(work)
        return toDurableStreamResponse({ source, stream: { writeUrl }, mode, waitUntil })
      },
    })
    const send = () => transport.sendMessages({ trigger: "submit-message", chatId: "1", messages: [] })
    const resume = () => transport.reconnectToStream({ chatId: "1" })
    return { writeUrl, writing, send, resume }
  }

  const isWhole = (message) => {
    equal(message.id, "answer", "message")
    equal(message.parts, [{ type: "text", text: DELTAS.join(""), state: "done" }], "its parts")
  }

  return {
    "an answer is read whole while it is written, and its stream is closed": async () => {
      const { writeUrl, writing, send } = chat(answer(5), "immediate")
      isWhole(await lastMessage(await send()))
      await Promise.all(writing)
      const { streamClosed } = await DurableStream.head({ url: writeUrl })
      equal(streamClosed, true, "closed")
    },

    "a page that is loaded in the middle of an answer has it whole": async () => {
      const { send, resume } = chat(answer(20), "immediate")
      const first = (await send()).getReader()
      await first.read()
      await first.cancel()
      isWhole(await lastMessage(await resume()))
    },

    "an answer that is written before it is read is all there": async () => {
      const { writeUrl, send, resume } = chat(answer(0), "await")
      isWhole(await lastMessage(await send()))
      isWhole(await lastMessage(await resume()))
      const handle = new DurableStream({ url: writeUrl })
      const res = await handle.stream({ live: false })
      equal((await res.json()).length, DELTAS.length + 4, "chunks")
      equal(res.streamClosed, true, "closed")
    },

    "an answer that fails ends for its reader, too": async () => {
      async function* failing() {
        yield { type: "start", messageId: "answer" }
        throw new Error("the model is gone")
      }
      const { writing, send } = chat(failing(), "immediate")
      const chunks = []
      for await (const chunk of await send()) chunks.push(chunk)
      await Promise.all(writing)
      equal(chunks, [{ type: "start", messageId: "answer" }], "chunks")
    },
  }
}
