// The page of a chat. It follows one stream at a time: the chat's, which has all messages, and while an
// answer is written, that answer's, until it is closed. All pages of a chat show the same, whoever asked.
import { follow } from "./follow.js"
import { blocks, element } from "./text.js"

const $ = (id) => document.getElementById(id)
const chats = document.querySelector("meta[name=chats]").content

/** Nobody guesses it: who knows it may read the chat. */
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")

let id = /^\/chat\/([^/]+)$/.exec(location.pathname)?.[1]
/** Where the chat's stream goes on. */
let offset = "-1"
/** Ends what is followed. */
let unfollow = () => {}
/** The messages, by their ids, as the AI SDK has them. */
const messages = new Map()
/** The question that is on its way to the server. */
let unsent = null

/** What there is to follow: the answer that is being written, or else the chat. */
function followNext() {
  unfollow()
  const last = [...messages.values()].at(-1)
  if (last?.metadata?.state === "streaming") followAnswer(last)
  else followChat()
}

function followChat() {
  unfollow = follow(`${chats}/${id}`, offset, {
    ...connection,
    messages(all, next) {
      offset = next
      for (const message of all) take(message)
      render()
      // Nothing comes into the chat until the answer is over.
      if ([...messages.values()].at(-1)?.metadata?.state === "streaming") followNext()
    },
    closed: () => say("This chat is closed."),
  })
}

function followAnswer(message) {
  message.live = { text: "", state: "waiting" }
  render()
  const end = (state, error) => Object.assign(message.live, { state, error })
  unfollow = follow(`${chats}/${id}/${message.metadata.stream}`, "-1", {
    ...connection,
    messages(chunks) {
      for (const chunk of chunks) {
        if (chunk.type === "text-delta") {
          message.live.text += chunk.delta
          message.live.state = "streaming"
        }
        if (chunk.type === "finish") end("done")
        if (chunk.type === "abort") end("stopped")
        if (chunk.type === "error") end("failed", chunk.errorText)
      }
      renderMessage(message)
    },
    closed() {
      // An answer that does not say that it is whole is not.
      if (["waiting", "streaming"].includes(message.live.state)) end("failed")
      over(message)
    },
    missing(status) {
      if (status !== 404) return connection.missing(status)
      end("failed", "What there was of it is lost.")
      over(message)
    },
  })
}

/** The answer is over, and the chat goes on. */
function over(message) {
  message.metadata = { ...message.metadata, state: message.live.state, error: message.live.error }
  message.parts = [{ type: "text", text: message.live.text }]
  message.live = undefined
  render()
  followNext()
}

/** Takes a message in the place of what was there of it. */
function take(message) {
  const known = messages.get(message.id)
  const isLate = message.metadata && known?.metadata && message.metadata.state !== "streaming"
    && message.metadata.stream !== known.metadata.stream
  // Of an answer that has another one in its place.
  if (isLate) return
  messages.set(message.id, message)
  if (message.id === unsent?.message.id) unsent = null
}

const connection = {
  connected: (isSo) => say(isSo ? "" : "Connecting again…"),
  missing(status) {
    if (status === 401 || status === 403) return say("You are not let in any more: reload the page.")
    // Nobody has asked anything yet.
    say(status === 404 ? "" : `The chat cannot be read (${status}).`)
  },
}

const say = (text) => {
  if ($("connection").textContent !== text) $("connection").textContent = text
}

/** Asks, or asks for another answer. */
async function ask(message, trigger = "submit-message") {
  unsent = { message, trigger }
  render()
  scrollDown()
  const isNew = !id
  id ??= newId()
  try {
    const answer = await fetch("/chat", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id, trigger, messages: [message] }),
    })
    if (!answer.ok) throw new Error(await answer.text())
    // While this goes on, the server may take as long as it wants.
    answer.text().catch(() => {})
    if (isNew) history.replaceState(null, "", `/chat/${id}`)
    if (trigger !== "submit-message") unsent = null
    // Nothing is followed yet, or the stream was not there when it was looked for.
    if (isNew || messages.size === 0) followNext()
  } catch (error) {
    if (isNew) id = undefined
    // It may have arrived all the same: then it is in the chat by now.
    if (unsent) unsent.error = error instanceof TypeError ? "The server cannot be reached." : error.message
  }
  render()
}

const lastQuestion = () => [...messages.values()].findLast(({ role }) => role === "user")

async function stop() {
  $("stop").disabled = true
  const answer = await fetch(`/chat/${id}/stop`, { method: "POST" }).catch(() => null)
  if (!answer?.ok) say("It could not be stopped.")
  $("stop").disabled = false
}

const textOf = ({ parts }) => parts.map(({ text }) => text ?? "").join("")

/** Shows what there is. */
function render() {
  const all = [...messages.values()]
  for (const message of all) renderMessage(message)
  document.querySelector("article.unsent")?.remove()
  $("unsent")?.remove()
  if (unsent?.trigger === "submit-message") $("messages").append(...unsentElements())
  else if (unsent?.error) $("messages").append(unsentState())
  const first = all.find(({ role }) => role === "user") ?? unsent?.message
  const title = first ? textOf(first).slice(0, 80) : "New chat"
  if (document.title !== title) document.title = $("title").textContent = title
  $("empty").hidden = Boolean(first)
  $("new").hidden = $("share").hidden = all.length === 0
  const isBusy = Boolean(all.at(-1)?.live) || Boolean(unsent && !unsent.error)
  $("stop").hidden = !all.at(-1)?.live
  $("send").hidden = !$("stop").hidden
  $("send").disabled = isBusy
}

function unsentElements() {
  const article = element("article", { className: "user unsent" }, textOf(unsent.message))
  return [article, ...(unsent.error ? [unsentState()] : [])]
}

function unsentState() {
  const { message, trigger, error } = unsent
  const again = element("button", { type: "button", onclick: () => ask(message, trigger) }, "Send again")
  const state = element("p", { id: "unsent", className: "state" }, `Not sent: ${error}`, again)
  state.setAttribute("role", "alert")
  return state
}

/** Shows a message, in the place of what was shown of it. */
function renderMessage(message) {
  const { live, metadata } = message
  const state = live?.state ?? metadata?.state ?? "done"
  let article = document.querySelector(`article[data-id="${CSS.escape(message.id)}"]`)
  if (!article) {
    article = element("article")
    article.dataset.id = message.id
    $("messages").append(article)
  }
  const text = live ? live.text : textOf(message)
  const isLast = [...messages.keys()].at(-1) === message.id
  const shown = JSON.stringify([text, state, metadata?.error, live?.error, isLast])
  if (article.shown === shown) return
  article.shown = shown
  article.className = message.role === "user" ? "user" : `answer ${state}`
  article.setAttribute("aria-label", message.role === "user" ? "Question" : "Answer")
  article.setAttribute("aria-busy", Boolean(live))
  if (message.role === "user") {
    article.replaceChildren(text)
  } else {
    const content = element("div", { className: "content" }, ...blocks(text))
    article.replaceChildren(content, stateElement(state, live?.error ?? metadata?.error, isLast))
  }
  if (isAtEnd) scrollDown()
  else $("latest").hidden = false
}

function stateElement(state, error, isLast) {
  const line = element("p", { className: "state" })
  if (state === "waiting") {
    const dots = element("span", { className: "dots" }, ...[1, 2, 3].map(() => element("span")))
    dots.setAttribute("aria-hidden", "true")
    line.append(dots, "Waiting for the model…")
  }
  if (state === "failed") line.append(`Broken off. ${error ?? "Its writer is gone."}`)
  if (state === "stopped") line.append("Stopped.")
  if (isLast && ["failed", "stopped"].includes(state)) {
    const again = () => ask(lastQuestion(), "regenerate-message")
    line.append(element("button", { type: "button", onclick: again }, "Try again"))
  }
  return line
}

/** Whether who reads is at the end, and wants to stay there. */
let isAtEnd = true
addEventListener(
  "scroll",
  () => {
    const { scrollHeight, clientHeight, scrollTop } = document.documentElement
    isAtEnd = scrollHeight - clientHeight - scrollTop < 80
    if (isAtEnd) $("latest").hidden = true
  },
  { passive: true },
)
addEventListener("resize", () => isAtEnd && scrollDown())

function scrollDown() {
  isAtEnd = true
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" })
  $("latest").hidden = true
}

$("ask").onsubmit = (event) => {
  event.preventDefault()
  const text = $("question").value.trim()
  if (text === "" || $("send").disabled || $("send").hidden) return
  $("question").value = ""
  ask({ id: newId(), role: "user", parts: [{ type: "text", text }] })
}
$("question").onkeydown = (event) => {
  // While a word is composed, Enter is for that.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $("ask").requestSubmit()
}
$("stop").onclick = async () => {
  await stop()
  $("question").focus()
}
$("latest").onclick = scrollDown
$("ideas").onclick = ({ target }) => {
  if (target.localName !== "button") return
  $("question").value = target.textContent
  $("question").focus()
}
$("share").onclick = async () => {
  // Only pages of this machine and of https have a clipboard.
  const isCopied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false)
  $("share").textContent = isCopied ? "Copied" : "See the address bar"
  setTimeout(() => ($("share").textContent = "Copy link"), 2000)
}

render()
if (id) followNext()
$("question").focus()
