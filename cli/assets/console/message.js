// One message: its short form in the list, and the whole of it, laid out when somebody looks.

import { bytes as sized, clock, count } from "./format.js"
import { button, copier, fill, h } from "./dom.js"
import { pretty } from "./json.js"

/** So much of a message stands in the list. */
const SHORT = 400
/** So much of it is laid out at once, in characters. */
const LAID_OUT = 200_000

/** Bytes as hexadecimal digits. */
export const hex = (bytes) => Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join(" ")

const printable = (bytes) => Array.from(bytes, (one) => (one > 31 && one < 127 ? String.fromCharCode(one) : ".")).join("")

/** What stands in the list. @param {import("./rows.js").Row} row */
export function short(row) {
  if (row.text !== undefined) return row.text.length > SHORT ? `${row.text.slice(0, SHORT)}…` : row.text
  const first = row.bytes.subarray(0, 24)
  return `${hex(first)}${row.bytes.length > first.length ? " …" : ""}  ${printable(first)}`
}

/** All of it. */
export function long(row, kind) {
  if (kind === "json") return pretty(row.text)
  if (row.text !== undefined) return row.text
  const lines = []
  for (let at = 0; at < row.bytes.length; at += 16) {
    const part = row.bytes.subarray(at, at + 16)
    const place = (at + (row.position ?? 0)).toString(16).padStart(8, "0")
    lines.push(`${place}  ${hex(part).padEnd(48)} ${printable(part)}`)
  }
  return lines.join("\n")
}

/**
 * Shows a message in a place for it.
 * @param {HTMLElement} element
 * @param {import("./rows.js").Row} row
 * @param {"json" | "text" | "bytes"} kind
 * @param {() => void} onclose
 */
export function show(element, row, kind, onclose) {
  const name = `${kind === "json" ? "Message" : "At byte"} ${row.position === null ? row.id + 1 : count(row.position)}`
  const text = long(row, kind)
  const pre = h("pre", { tabindex: "0", "aria-label": `${name}, whole` }, text.slice(0, LAID_OUT))
  const came = row.at === null ? null : h("span", { class: "soft" }, clock(row.at))
  const more = text.length > LAID_OUT
    ? button(`Show all ${sized(text.length)}`, () => ((pre.textContent = text), more.remove()), { class: "quiet" })
    : null
  const bar = h("div", { class: "bar" },
    h("strong", {}, name), h("span", { class: "soft" }, sized(row.text === undefined ? row.size : new TextEncoder().encode(row.text).length)), came, h("span", { class: "gap" }),
    copier(() => (row.text === undefined ? text : row.text), "Copy", { class: "quiet" }),
    button("Close", onclose, { class: "quiet", "aria-label": "Close the message" }))
  fill(element, bar, pre, more)
  element.hidden = false
}
