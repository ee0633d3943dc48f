// The live end of a stream: a list that follows, with a filter and a pause, and the message that is chosen.

import { chart } from "./chart.js"
import { announce, button, field, fill, h, select } from "./dom.js"
import { count, counted, kind, offsetAt, place, position } from "./format.js"
import { list } from "./list.js"
import { show } from "./message.js"
import { follow, recent } from "./reader.js"
import { MOST, Rows } from "./rows.js"

const STATES = {
  connecting: "Connecting",
  "catching up": "Catching up",
  live: "Live",
  away: "Away, trying again",
  closed: "Closed: all is here",
  stopped: "Stopped",
  paused: "Paused",
}

/**
 * @param {string} path the whole path
 * @param {{ contentType: string, tail: string, earliest?: string | null }} stream
 * @param {() => void} onclosed when the stream turns out to be closed
 */
export function tail(path, stream, onclosed) {
  const of = kind(stream.contentType)
  const unit = of === "json" ? "message" : of === "text" ? "line" : "piece"
  const rows = new Rows()
  const rates = chart(`${unit}s`)
  const view = list(rows, `${unit}s of the stream`, choose)
  const whole = h("section", { class: "whole", hidden: true, "aria-label": "The chosen message" })
  const state = h("strong", { class: "state" })
  const figures = h("span", { class: "soft figures" })
  const reason = h("p", { class: "wrong", role: "alert", hidden: true })
  const pauses = button("Pause", () => toggle(), { "aria-keyshortcuts": "p", id: "pause" })
  const jump = button("Newest", () => view.toEnd(), { class: "quiet", hidden: true })
  const filter = h("input", { type: "search", id: "filter", placeholder: "Filter", "aria-label": `Filter ${unit}s`, "aria-keyshortcuts": "f" })
  const from = select([["recent", "the newest"], ["start", "the start"], ["now", "now on"], ["position", `${of === "json" ? "message" : "byte"} …`]], "recent", { id: "from" })
  const at = h("input", { type: "number", min: "0", value: "0", class: "short", hidden: true, "aria-label": `First ${of === "json" ? "message" : "byte"}` })

  let offset = recent(stream.contentType, stream.tail, stream.earliest)
  let follower = new AbortController()
  let now = ""
  let came = 0
  let told = 0

  function begin() {
    follower.abort()
    follower = new AbortController()
    const { signal } = follower
    const on = { item: (item, isLive) => signal.aborted || take(item, isLive), state: said }
    follow(path, stream.contentType, offset, on, signal)
  }

  function take(item, isLive) {
    const at = isLive ? Date.now() : null
    if (of === "text") rows.pushText(item.text, item.position, at)
    else rows.push({ ...item, at })
    if (isLive) {
      rates.add(item.size)
      came += 1
    }
    draw()
  }

  function said(is, more) {
    offset = more.offset
    if (is === "closed" && now !== "closed") onclosed()
    set(is)
    reason.hidden = !more.message
    reason.textContent = more.message ?? ""
  }

  function set(is) {
    if (now === is) return
    now = is
    state.textContent = STATES[is]
    state.dataset.state = is.replace(" ", "-")
    pauses.textContent = is === "paused" ? "Resume" : is === "stopped" ? "Try again" : "Pause"
    pauses.hidden = is === "closed"
    if (is !== "connecting") announce(`Tail: ${STATES[is]}`)
    draw()
  }

  /** Nothing is lost by a pause: reading goes on where it was. */
  function toggle() {
    if (now === "paused" || now === "stopped") return begin()
    follower.abort()
    set("paused")
  }

  function restart() {
    const starts = { recent: recent(stream.contentType, stream.tail, stream.earliest), start: "-1", now: "now", position: offsetAt(Number(at.value)) }
    at.hidden = from.value !== "position"
    offset = starts[from.value]
    close()
    rows.clear()
    view.toEnd()
    draw()
    begin()
  }

  function choose(row) {
    show(whole, row, of, close)
  }

  function close() {
    const hadFocus = whole.contains(document.activeElement)
    whole.hidden = true
    fill(whole)
    view.forget()
    if (hadFocus) view.element.focus()
  }

  let frame = 0
  const draw = () => (frame ||= requestAnimationFrame(paint))
  function paint() {
    frame = 0
    view.changed()
    const shown = rows.wanted ? `${count(rows.length)} of ${counted(rows.kept, unit)}` : counted(rows.kept, unit)
    const dropped = rows.dropped > 0 ? `, ${count(rows.dropped)} older dropped` : ""
    const text = `${shown}${dropped}`
    if (figures.textContent !== text) figures.textContent = text
    empty.hidden = rows.length > 0
    empty.textContent = rows.wanted ? "Nothing here matches the filter." : now === "live" ? "Nothing yet. What is appended appears here." : ""
    jump.hidden = view.isAtEnd || rows.length === 0
  }

  const empty = h("p", { class: "empty" })
  filter.addEventListener("input", () => {
    rows.filter(filter.value)
    view.toEnd()
    draw()
  })
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return
    event.preventDefault()
    view.element.focus()
  })
  from.addEventListener("change", restart)
  at.addEventListener("change", restart)
  view.element.addEventListener("scroll", draw)
  view.element.addEventListener("keydown", (event) => event.key === "Escape" && close())
  const teller = setInterval(() => {
    if (came > told) announce(`${counted(came - told, `new ${unit}`)}, at ${place(offset)}`)
    told = came
  }, 10_000)
  const isCounted = position(stream.tail) !== null
  if (!isCounted) from.lastElementChild?.remove()
  begin()
  paint()

  const element = h("section", { class: "tail", "aria-label": "Messages" },
    h("div", { class: "bar" }, state, figures, h("span", { class: "gap" }), jump, pauses),
    h("div", { class: "bar tools" }, filter, field("From", from), at, rates.element),
    reason,
    h("div", { class: "frame", title: `The last ${count(MOST)} are kept` }, view.element, empty),
    whole)
  return {
    element,
    toggle: () => pauses.hidden || toggle(),
    focusFilter: () => filter.focus(),
    /** Goes to where new messages appear. */
    toEnd: () => view.toEnd(),
    end() {
      follower.abort()
      clearInterval(teller)
      cancelAnimationFrame(frame)
      rates.end()
      view.end()
    },
  }
}
