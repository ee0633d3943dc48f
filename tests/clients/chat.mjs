// The example chat, used by what the AI SDK is made of and by plain requests, with a stand-in for the
// provider: node chat.mjs. Prints a line of JSON for each check, and what is to happen to the server.
import { createDurableChatTransport } from "@durable-streams/aisdk-transport"
import { AbstractChat, readUIMessageStream } from "ai"
import { request } from "node:http"
import { run, sleep } from "./checks.mjs"
import { equal, eventually } from "./control.mjs"
import { open, words } from "./provider.mjs"
import { report, server } from "./told.mjs"

const provider = await open()
const COMPLETIONS = "/v1/chat/completions"
/** Of this kind are answers that nobody interrupts. */
const WHOLE = words(20).join("")

let base
/** Starts the server with a provider of a format, and with other variables. */
const start = async (path = COMPLETIONS, vars = {}) => {
  base = await server("start", {
    PROVIDER_URL: `${provider.url}${path}`,
    PROVIDER_KEY: "the key",
    PATIENCE: "2",
    MODEL: "a model",
    ...vars,
  })
}
await start()

const newId = () => crypto.randomUUID()
const question = (text, id = newId()) => ({ id, role: "user", parts: [{ type: "text", text }] })

/** A question that is asked without any client. */
const post = (id, message, more = {}, init = {}) =>
  fetch(`${base}/chat`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...init.headers },
    body: JSON.stringify({ id, trigger: "submit-message", messages: [message], ...more }),
    signal: init.signal,
  })
const messages = async (id) => (await fetch(`${base}/chat/${id}/messages`)).json()
const textOf = ({ parts }) => parts.map(({ text }) => text).join("")
const states = async (id) => (await messages(id)).map(({ metadata }) => metadata?.state ?? "asked")
const isOver = (id) => eventually("it is over", async () => !(await states(id)).includes("streaming"), 30_000)
/** The calls that the provider has got with this in the last question. */
const calls = (text) => provider.asked().filter(({ conversation }) => conversation.at(-1).content.includes(text))
/** All chunks of an answer, as soon as it is over. */
async function chunks(url) {
  const all = []
  let offset = "-1"
  for (;;) {
    const page = await fetch(`${new URL(url, base)}?offset=${offset}&live=long-poll`)
    if (page.status === 200) all.push(...(await page.json()))
    offset = page.headers.get("stream-next-offset")
    if (page.headers.get("stream-closed")) return all
  }
}

/** The chat of a page that is made with the AI SDK. */
class Chat extends AbstractChat {
  constructor(id, messages = []) {
    const state = {
      status: "ready",
      error: undefined,
      messages,
      pushMessage: (message) => (state.messages = [...state.messages, message]),
      popMessage: () => (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (index, message) => (state.messages = state.messages.with(index, message)),
      snapshot: (thing) => structuredClone(thing),
    }
    const transport = createDurableChatTransport({ api: `${base}/chat` })
    super({ id, state, transport, generateId: newId })
  }
  get text() {
    return textOf(this.lastMessage)
  }
}

const checks = {
  "a page of the AI SDK has an answer while it is written": async () => {
    const chat = new Chat(newId())
    const sent = chat.sendMessage({ text: "one [words=40 ] [pause=30] [words=40]" })
    await eventually("a part of it", () => chat.status === "streaming" && chat.text.length > 20)
    equal(chat.text.length < words(40).join("").length, true, "it is not whole yet")
    await sent
    equal([chat.status, chat.error], ["ready", undefined], "status")
    equal(chat.text, words(40).join(""), "text")
    await chat.sendMessage({ text: "two" })
    equal(chat.text, WHOLE, "the next one")
    const roles = calls("two")[0].conversation.map(({ role }) => role)
    equal(roles, ["user", "assistant", "user"], "what the provider is told")
    const kept = await messages(chat.id)
    equal(kept.map(textOf), chat.messages.map(textOf), "what is kept")
    equal(kept.map(({ id }) => id), chat.messages.map(({ id }) => id), "and its ids")
  },

  "one that is loaded in the middle of an answer goes on with it": async () => {
    const first = new Chat(newId())
    const sent = first.sendMessage({ text: "resume [words=60] [pause=30]" })
    await eventually("a part of it", () => first.status === "streaming" && first.text.length > 20)
    await first.stop()
    await sent
    const kept = (await messages(first.id)).filter(({ role }) => role === "user")
    const second = new Chat(first.id, kept)
    const resumed = second.resumeStream()
    await eventually("what was there at once", () => second.lastMessage.role === "assistant" && second.text.length > 20, 500)
    await resumed
    equal(second.text, words(60).join(""), "text")
    equal(calls("resume").length, 1, "calls")
    await isOver(first.id)
    const third = new Chat(first.id, await messages(first.id))
    await third.resumeStream()
    equal([third.status, third.text], ["ready", words(60).join("")], "when it is over")
    equal((await fetch(`${base}/chat/${first.id}/stream`)).status, 204, "nothing to follow")
  },

  "two who follow the same answer have the same": async () => {
    const id = newId()
    const answer = await post(id, question("two readers [words=30] [pause=20]"))
    equal(answer.status, 201, "status")
    const transport = createDurableChatTransport({ api: `${base}/chat` })
    const read = async () => {
      let last
      for await (const message of readUIMessageStream({ stream: await transport.reconnectToStream({ chatId: id }) })) {
        last = message
      }
      return textOf(last)
    }
    equal(await Promise.all([read(), read()]), Array(2).fill(words(30).join("")), "texts")
  },

  "a question that is asked again is answered once": async () => {
    const [id, asked] = [newId(), question("once [pause=20]")]
    const first = await post(id, asked)
    const second = await post(id, asked)
    equal([first.status, second.status], [201, 200], "status")
    equal(second.headers.get("location"), first.headers.get("location"), "the same answer")
    const other = await post(id, question("another"))
    equal([other.status, await other.text()], [409, "The last answer is not over yet."], "another question")
    await first.text()
    const third = await post(id, asked)
    equal([third.status, third.headers.get("location")], [200, first.headers.get("location")], "later")
    equal(calls("once").length, 1, "calls")
  },

  "of those who ask at the same time one is answered": async () => {
    const id = newId()
    const answers = await Promise.all([1, 2, 3, 4].map((n) => post(id, question(`at once ${n}`))))
    equal(answers.map(({ status }) => status).toSorted(), [201, 409, 409, 409], "status")
    await Promise.all(answers.map((answer) => answer.text()))
    equal(calls("at once").length, 1, "calls")
    equal((await messages(id)).map(({ role }) => role), ["user", "assistant"], "messages")
  },

  "who leaves does not end the answer": async () => {
    const [id, gone] = [newId(), new AbortController()]
    await post(id, question("leaving [words=40] [pause=30]"), {}, { signal: gone.signal })
    gone.abort()
    await isOver(id)
    equal(textOf((await messages(id)).at(-1)), words(40).join(""), "text")
  },

  "a provider that breaks off is not taken for one that is done": async () => {
    const said = {
      "[break=7]": [7, "The provider broke off in the middle of the answer."],
      "[fail=7]": [7, "it was told to fail"],
      "[status=429]": [0, "The provider refuses (429): it was told to refuse"],
      "[silent=7]": [7, "The answer broke off."],
    }
    const ids = []
    for (const [how, [count, error]] of Object.entries(said)) {
      const id = newId()
      const { headers } = await post(id, question(how))
      const last = (await chunks(headers.get("location"))).at(-1)
      equal(last, { type: "error", errorText: error }, how)
      await isOver(id)
      const answer = (await messages(id)).at(-1)
      equal([textOf(answer), answer.metadata.state], [words(count).join(""), "failed"], how)
      ids.push(id)
    }
    const again = await post(ids[0], (await messages(ids[0]))[0], { trigger: "regenerate-message" })
    equal(again.status, 201, "once more")
    await again.text()
    equal((await states(ids[0])).length, 2, "in the place of the one that broke off")
    equal(calls("[break=7]").length, 2, "calls")
    const chat = new Chat(newId())
    await chat.sendMessage({ text: "for the SDK [fail=3]" })
    equal([chat.status, chat.error.message], ["error", "it was told to fail"], "of the AI SDK")
  },

  "who stops an answer stops the provider": async () => {
    const id = newId()
    const { headers } = await post(id, question("stop [words=500] [pause=20]"))
    await sleep(500)
    equal((await fetch(`${base}/chat/${id}/stop`, { method: "POST" })).status, 204, "status")
    equal((await chunks(headers.get("location"))).at(-1), { type: "abort" }, "the last chunk")
    await eventually("the provider is let go", () => calls("stop")[0].isGone)
    equal(calls("stop")[0].said < 100, true, `${calls("stop")[0].said} words`)
    equal(await states(id), ["asked", "stopped"], "states")
    equal((await fetch(`${base}/chat/${id}/stop`, { method: "POST" })).status, 204, "once more")
  },

  "the death of the runtime is told who reads": async () => {
    const id = newId()
    const { headers } = await post(id, question("crash [words=500] [pause=20]"))
    await sleep(1000)
    await server("crash")
    await start()
    equal(await states(id), ["asked", "streaming"], "right after")
    const all = await chunks(headers.get("location"))
    equal(all.at(-1), { type: "error", errorText: "The answer broke off." }, "the last chunk")
    const there = all.filter(({ type }) => type === "text-delta").map(({ delta }) => delta)
    equal(there, words(there.length), "what was there")
    equal(there.length > 20, true, `${there.length} words`)
    equal(await states(id), ["asked", "failed"], "in the end")
    const next = await post(id, question("after the crash"))
    equal(next.status, 201, "the next question")
    await next.text()
    equal(await states(id), ["asked", "failed", "asked", "done"], "states")
  },

  "the death of the provider is told who reads": async () => {
    const [id, other] = [newId(), await open()]
    await server("stop")
    await start(COMPLETIONS, { PROVIDER_URL: `${other.url}${COMPLETIONS}` })
    const { headers } = await post(id, question("killed [words=500] [pause=20]"))
    await sleep(500)
    other.kill()
    equal((await chunks(headers.get("location"))).at(-1).type, "error", "the last chunk")
    const next = newId()
    const { headers: there } = await post(next, question("nobody is there"))
    const [{ errorText }] = (await chunks(there.get("location"))).filter(({ type }) => type === "error")
    equal(errorText.startsWith("The provider cannot be reached"), true, errorText)
  },

  "the other formats are spoken, too": async () => {
    for (const path of ["/v1/responses", "/v1/messages"]) {
      await server("stop")
      await start(path)
      const chat = new Chat(newId())
      await chat.sendMessage({ text: `as ${path}` })
      equal(chat.text, WHOLE, path)
      await chat.sendMessage({ text: `more of ${path} [fail=5]` })
      equal(chat.error.message, "it was told to fail", path)
      equal(calls(`as ${path}`).map(({ url, model }) => [url, model]), [[path, "a model"]], "calls")
    }
  },

  "what is wrong is said": async () => {
    const refusal = async (answer) => [answer.status, await answer.text()]
    equal((await refusal(await post("short", question("x"))))[0], 400, "a short id")
    equal((await refusal(await post(newId(), question(" "))))[0], 400, "no text")
    equal((await refusal(await post(newId(), question("x"), {}, { headers: { "Content-Type": "text/plain" } })))[0], 415, "a form")
    const again = await post(newId(), question("x"), { trigger: "regenerate-message" })
    equal((await refusal(again))[0], 409, "nothing to answer again")
    await server("stop")
    await start(COMPLETIONS, { PROVIDER_KEY: "", PROVIDER_URL: "https://provider.invalid/v1/chat/completions" })
    const [status, text] = await refusal(await post(newId(), question("x")))
    equal([status, text.includes("PROVIDER_KEY")], [500, true], text)
    equal(await states(newId()), [], "and nothing is written")
  },

  "nobody is let in without the password": async () => {
    const at = (host, path, headers = {}) =>
      new Promise((resolve, reject) => {
        const asked = request(`${base}${path}`, { headers: { Host: host, ...headers } }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        asked.on("error", reject).end()
      })
    equal(await at("localhost", "/"), 200, "on this machine")
    equal(await at("chat.example", "/"), 403, "from elsewhere, while there is none")
    await server("stop")
    await start(COMPLETIONS, { PASSWORD: "open sesame" })
    const basic = (text) => ({ Authorization: `Basic ${Buffer.from(text).toString("base64")}` })
    const right = basic("ada:open sesame")
    const id = newId()
    const answer = await post(id, question("secret"), {}, { headers: right })
    equal(answer.status, 201, "with the password")
    await answer.text()
    const { pathname } = new URL(answer.headers.get("location"), base)
    for (const path of ["/", "/chat.js", `/chat/${id}/messages`, `/chat/${id}/stream`, pathname]) {
      const isStream = path === pathname
      const open = isStream && process.env.AUTH === "none" ? 200 : 401
      equal(await at("localhost", path), open, `${path} without`)
      equal(await at("localhost", path, basic("ada:open")), open, `${path} with another`)
      const expected = path.endsWith("/stream") ? 204 : 200
      equal(await at("chat.example", path, right), expected, path)
    }
    equal((await post(newId(), question("x"))).status, 401, "a question without")
    equal(calls("secret").length, 1, "calls")
  },
}

await run(checks, report)
process.exit()
