// The box that appends. JSON is checked while it is typed, and what is wrong is not sent.

import { ask, Refused, streamUrl } from "./api.js"
import { announce, button, fill, h, VERBATIM } from "./dom.js"
import { bytes as sized, counted, kind } from "./format.js"
import { check, elements } from "./json.js"

/** Milliseconds after the last key. */
const SOON = 150

const HINTS = {
  json: "A message, or an array of several",
  text: "Text",
  bytes: "Bytes as hexadecimal digits, as in 48 65 6c 6c 6f",
}

/**
 * @param {string} path the whole path
 * @param {string} contentType
 * @param {() => void} onsent
 */
export function sender(path, contentType, onsent) {
  const of = kind(contentType)
  const text = h("textarea", {
    id: "message", rows: "3", ...VERBATIM, "aria-label": HINTS[of],
    "aria-describedby": "checked", "aria-keyshortcuts": "m Control+Enter", placeholder: `${HINTS[of]}. Ctrl+Enter sends.`,
  })
  const said = h("p", { id: "checked", class: "soft checked" })
  const answered = h("p", { class: "soft checked", role: "status" })
  const show = button("Show", () => point(), { class: "quiet", hidden: true, "aria-label": "Show the place in the text" })
  const closes = h("input", { type: "checkbox", id: "closes" })
  const line = of === "text" ? h("input", { type: "checkbox", checked: true }) : null
  const file = of === "bytes" ? h("input", { type: "file", "aria-label": "A file to append" }) : null
  const send = h("button", { class: "main" }, "Append")
  let timer = 0
  let isSending = false

  /** What is wrong with what is written, and how much it is. */
  function judge() {
    if (file?.files.length) return { words: `${file.files[0].name}, ${sized(file.files[0].size)}` }
    const written = text.value
    if (written.trim() === "" && of !== "text") return { isEmpty: true, words: "" }
    if (of === "text") return { isEmpty: written === "", words: written === "" ? "" : sized(encode(written).length) }
    if (of === "bytes") return judgeBytes(written)
    const wrong = check(written)
    if (wrong) return { wrong: `Line ${wrong.line}, column ${wrong.column}: ${wrong.message}`, at: wrong.at }
    const isArray = written.trimStart().startsWith("[")
    const many = isArray ? [...elements(written)].length : 1
    if (many === 0) return { wrong: "An array without messages is nothing to append", at: 0 }
    return { words: `${counted(many, "message")}, ${sized(encode(written).length)}` }
  }

  function look() {
    clearTimeout(timer)
    const { wrong, words } = judge()
    text.setAttribute("aria-invalid", String(Boolean(wrong)))
    said.classList.toggle("wrong", Boolean(wrong))
    said.textContent = wrong ?? words
    show.hidden = !wrong
    return wrong
  }

  /** Puts the cursor where the text is wrong. */
  function point() {
    const { at } = judge()
    text.focus()
    if (at !== undefined) text.setSelectionRange(at, Math.min(at + 1, text.value.length))
  }

  async function submit(event) {
    event.preventDefault()
    if (isSending) return
    const { isEmpty } = judge()
    if (look()) {
      answered.textContent = ""
      announce(said.textContent)
      return point()
    }
    if (isEmpty && !closes.checked) {
      said.textContent = "There is nothing to append yet"
      return text.focus()
    }
    isSending = true
    send.disabled = true
    try {
      const body = isEmpty ? undefined : file?.files.length ? file.files[0] : content()
      const headers = {
        ...(body !== undefined && { "Content-Type": contentType }),
        ...(closes.checked && { "Stream-Closed": "true" }),
      }
      const isClosed = closes.checked
      const words = said.textContent
      await ask("POST", streamUrl(path), { headers, body })
      // What was sent is still there, chosen: the next key replaces it, and sending once more repeats it.
      if (file) file.value = ""
      closes.checked = false
      look()
      text.select()
      answered.textContent = isClosed ? "Closed." : `Appended ${words}.`
      onsent()
    } catch (error) {
      answered.textContent = ""
      said.classList.add("wrong")
      said.textContent = error instanceof Refused && error.status === 0
        ? "No answer: nobody knows whether it was appended. Look before you repeat it."
        : error.message
      announce(said.textContent)
    } finally {
      isSending = false
      send.disabled = false
      if (document.activeElement === document.body) text.focus()
    }
  }

  function content() {
    if (of === "bytes") return bytesOf(text.value)
    if (of === "text" && line.checked && !text.value.endsWith("\n")) return encode(`${text.value}\n`)
    // A string would be sent with a charset, which is another type than the stream's.
    return encode(text.value)
  }

  text.addEventListener("input", () => {
    clearTimeout(timer)
    answered.textContent = ""
    timer = setTimeout(look, SOON)
  })
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit()
  })
  file?.addEventListener("change", look)
  const element = h("form", { class: "sender", "aria-label": "Append", onsubmit: submit, novalidate: true })
  fill(element, text,
    h("div", { class: "bar" }, said, show, answered, h("span", { class: "gap" }), file,
      line && h("label", { class: "check" }, line, "End the line"),
      h("label", { class: "check" }, closes, "Close the stream with it"), send))
  return { element, focus: () => text.focus() }
}

const encode = (text) => new TextEncoder().encode(text)

const digits = (text) => text.replace(/[\s,]|0x/gi, "")

function judgeBytes(text) {
  const at = text.search(/[^0-9a-fA-FxX\s,]/)
  if (at >= 0) return { wrong: `${text[at]} is no hexadecimal digit`, at }
  const found = digits(text)
  if (found.length % 2 > 0) return { wrong: "A digit is missing: a byte has two", at: text.length }
  return { words: sized(found.length / 2) }
}

const bytesOf = (text) => Uint8Array.from(digits(text).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
