// What each request of this page came to: the last one below every page, and all of them in a table.

import { requests } from "./api.js"
import { cell, fill, h, table } from "./dom.js"
import { clock, count, counted, millis } from "./format.js"

/** What a request cost, in words. @param {import("./api.js").Request} request */
function words({ cost }) {
  const parts = []
  if (cost.rowsWritten !== undefined) parts.push(`${counted(cost.rowsWritten, "row")} written`)
  if (cost.rowsRead !== undefined) parts.push(`${count(cost.rowsRead)} read`)
  if (cost.edge !== undefined) parts.push(`server ${millis(cost.edge)}`)
  return parts.join(", ")
}

const isWrong = ({ status }) => status >= 400 || status === 0
const status = ({ status }) => (status === 0 ? "no answer" : String(status))

/** Keeps the last request in a place for it. */
export function last(element) {
  const draw = () => {
    const request = requests.made.at(-1)
    if (!request) return
    const cost = words(request)
    fill(element, h("a", { href: "#/requests", title: "All requests of this page" },
      h("b", {}, request.method), ` ${request.path} `, h("span", { class: isWrong(request) ? "wrong" : "soft" }, status(request)),
      ` ${millis(request.millis)}`, cost && h("span", { class: "soft" }, `, ${cost}`)))
  }
  requests.addEventListener("made", draw)
  draw()
}

/** The table. */
export function log() {
  const body = h("tbody", {})
  const sum = h("p", {})
  const note = h("p", { class: "soft" })
  let newest = 0

  function draw() {
    const fresh = requests.made.filter(({ id }) => id > newest)
    newest = requests.made.at(-1)?.id ?? 0
    body.prepend(...fresh.reverse().map(row))
    while (body.childElementCount > requests.made.length) body.lastElementChild.remove()
    const { total } = requests
    sum.textContent = `${counted(total.requests, "request")}: ${counted(total.rowsWritten, "row")} written, ${count(total.rowsRead)} read`
    const isTold = requests.made.some(({ cost }) => cost.edge !== undefined)
    note.textContent = isTold
      ? "What the page asks again and again by itself is left out."
      : "Streams say what requests cost where wrangler.toml has DEBUG_TIMING = \"1\"."
  }

  const row = (request) =>
    h("tr", {},
      cell("When", clock(request.at)), cell("Method", request.method),
      h("th", { scope: "row" }, request.path),
      cell("Status", status(request), { class: isWrong(request) && "wrong" }),
      ...[millis(request.millis), ...["edge", "object", "sql"].map((key) => time(request.cost[key])), rows(request.cost.rowsRead), rows(request.cost.rowsWritten)]
        .map((value, at) => cell(HEADS[at + 4], value, { class: "number" })))

  draw()
  requests.addEventListener("made", draw)
  const element = h("section", { class: "page", "aria-label": "Requests" },
    h("h1", { tabindex: "-1" }, "Requests"), sum, note,
    table("Requests of this page, newest first", HEADS, body, { class: "cards pairs dense" }))
  return { element, end: () => requests.removeEventListener("made", draw) }
}

const HEADS = ["When", "Method", "Path", "Status", "Here", "Server", "Object", "SQL", "Rows read", "Rows written"]

const time = (value) => (value === undefined ? "" : millis(value))
const rows = (value) => (value === undefined ? "" : count(value))
