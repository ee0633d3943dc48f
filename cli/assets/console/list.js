// A list of rows of one height, of which those alone are on the page that can be seen.

import { clock, count } from "./format.js"
import { h } from "./dom.js"
import { short } from "./message.js"

/** As `.row` of parts.css has it, in pixels. */
const HEIGHT = 24
/** So many rows are ready above and below. */
const AHEAD = 4

/**
 * @param {import("./rows.js").Rows} rows
 * @param {string} label
 * @param {(row: import("./rows.js").Row) => void} onchoose
 */
export function list(rows, label, onchoose) {
  const room = h("div", { class: "room", role: "presentation" })
  const element = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": label }, room)
  /** @type {HTMLElement[]} */
  const pool = []
  let isAtEnd = true
  let chosen = -1
  let gone = 0
  let height = 0
  /** How high all rows were when they were drawn last. */
  let full = 0
  let frame = 0

  function draw() {
    frame = 0
    if (height === 0) return
    const length = rows.length
    full = length * HEIGHT
    room.style.height = `${full}px`
    const most = Math.max(0, full - height)
    // What is read stays where it is while older rows go.
    const wanted = isAtEnd ? most : Math.min(most, Math.max(0, element.scrollTop - (rows.gone - gone) * HEIGHT))
    gone = rows.gone
    if (Math.abs(element.scrollTop - wanted) >= 1) element.scrollTop = wanted
    const first = Math.max(0, Math.floor(wanted / HEIGHT) - AHEAD)
    const last = Math.min(length, Math.ceil((wanted + height) / HEIGHT) + AHEAD)
    while (pool.length < last - first) pool.push(room.appendChild(line()))
    for (const [index, row] of pool.entries()) put(row, first + index, last, length)
    const active = rows.placeOf(chosen)
    if (active >= first && active < last) element.setAttribute("aria-activedescendant", `row-${chosen}`)
    else element.removeAttribute("aria-activedescendant")
  }

  function put(element, place, last, length) {
    const row = place < last ? rows.at(place) : undefined
    element.hidden = row === undefined
    if (row === undefined) return
    element.style.transform = `translateY(${place * HEIGHT}px)`
    element.setAttribute("aria-posinset", String(place + 1))
    element.setAttribute("aria-setsize", String(length))
    element.setAttribute("aria-selected", String(row.id === chosen))
    const version = `${row.id} ${row.version ?? 0}`
    if (element.dataset.shown === version) return
    element.dataset.shown = version
    element.id = `row-${row.id}`
    const [at, text, came] = element.children
    at.textContent = row.position === null ? "" : count(row.position)
    came.textContent = row.at === null ? "" : clock(row.at)
    text.textContent = short(row)
  }

  const line = () =>
    h("div", { class: "row", role: "option" }, h("span", { class: "at" }), h("span", { class: "said" }), h("span", { class: "came" }))

  /** Draws with the next frame. */
  const changed = () => (frame ||= requestAnimationFrame(draw))

  function choose(place) {
    const row = rows.at(Math.max(0, Math.min(rows.length - 1, place)))
    if (row === undefined) return
    chosen = row.id
    reveal(rows.placeOf(chosen))
    // Whoever looks at one message does not want the list to run away.
    isAtEnd = false
    onchoose(row)
    changed()
  }

  function reveal(place) {
    const top = place * HEIGHT
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + HEIGHT > element.scrollTop + height) element.scrollTop = top + HEIGHT - height
  }

  element.addEventListener("scroll", () => {
    // Rows that have come since are no reason to think that somebody has left the end.
    isAtEnd = element.scrollTop + height >= full - HEIGHT
    changed()
  })
  element.addEventListener("wheel", (event) => {
    if (event.deltaY < 0) isAtEnd = false
  }, { passive: true })
  element.addEventListener("click", (event) => {
    const id = /** @type {HTMLElement} */ (event.target).closest(".row")?.id
    if (id) choose(rows.placeOf(Number(id.slice(4))))
  })
  element.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(height / HEIGHT) - 1)
    const now = rows.placeOf(chosen)
    const start = now < 0 ? Math.floor((element.scrollTop + height) / HEIGHT) : now
    const to = { ArrowDown: start + 1, ArrowUp: start - 1, PageDown: start + page, PageUp: start - page, Home: 0, End: rows.length - 1 }
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in to)) return
    event.preventDefault()
    choose(to[event.key])
    if (event.key === "End") isAtEnd = true
  })
  const sizes = new ResizeObserver(() => {
    height = element.clientHeight
    // The chosen one stays in sight when the whole of it is shown below.
    if (chosen >= 0 && !isAtEnd) reveal(Math.max(0, rows.placeOf(chosen)))
    changed()
  })
  sizes.observe(element)

  return {
    element,
    changed,
    choose,
    /** Shows what comes, as it comes. */
    toEnd() {
      isAtEnd = true
      changed()
    },
    get isAtEnd() {
      return isAtEnd
    },
    get chosen() {
      return chosen
    },
    /** Nothing is chosen any more. */
    forget() {
      chosen = -1
      changed()
    },
    end() {
      sizes.disconnect()
      cancelAnimationFrame(frame)
    },
  }
}
