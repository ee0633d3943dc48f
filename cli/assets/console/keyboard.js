// Keys that do what buttons do. They can be switched off, for whoever speaks to the machine.

import { isAsking, note } from "./dialogs.js"
import { h } from "./dom.js"

const KEPT = "console-keys"

const LIST = [
  ["Move", [["/", "search the streams"], ["s", "streams"], ["u", "subscriptions"], ["t", "projects and tokens"], ["r", "requests"]]],
  ["A stream", [["n", "make one"], ["m", "write a message"], ["f", "filter its messages"], ["p", "pause, and resume"]]],
  ["Everywhere", [["?", "this list"], ["Esc", "leave a field, close what is open"], ["Ctrl Enter", "append what is written"], ["↑ ↓ Home End", "move in lists"]]],
]

const areOn = () => {
  try {
    return localStorage.getItem(KEPT) !== "off"
  } catch {
    return true
  }
}

const isWriting = (element) =>
  element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName))

/** @param {Record<string, () => void>} keys what each does; `?` shows them all */
export function keyboard(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || isAsking()) return
    if (isWriting(event.target)) {
      if (event.key === "Escape") /** @type {HTMLElement} */ (event.target).blur()
      return
    }
    const act = event.key === "?" ? shortcuts : keys[event.key]
    if (!act || !areOn()) return
    event.preventDefault()
    act()
  })
}

/** Shows which keys there are. */
export function shortcuts() {
  const box = h("input", { type: "checkbox", checked: areOn() })
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(KEPT, box.checked ? "on" : "off")
    } catch {
      // Where nothing can be kept, keys are on.
    }
  })
  const groups = LIST.map(([title, keys]) =>
    h("div", {}, h("h3", {}, title),
      h("dl", { class: "keys" }, ...keys.map(([key, does]) => h("div", {}, h("dt", {}, ...key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, does))))))
  note("Keyboard", ...groups, h("label", { class: "check" }, box, "Single keys do something"))
}
