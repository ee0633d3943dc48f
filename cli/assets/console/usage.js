// What the deployed server was used for, where it notes that.

import { askJson } from "./api.js"
import { cell, field, fill, h, select, table, terms, trouble } from "./dom.js"
import { count } from "./format.js"

/** Shows the document of `durable-streams usage --json`: lists of like things as tables, all else by name. */
export function usage() {
  const wrong = trouble()
  const content = h("div", {})
  const ended = new AbortController()
  const since = select([["1h", "hour"], ["1d", "day"], ["7d", "7 days"], ["30d", "30 days"]], "1d")

  async function load() {
    fill(content, h("p", { class: "wait" }, "Loading…"))
    wrong.say(null)
    try {
      const said = await askJson("GET", `/api/usage?since=${since.value}`, undefined, { signal: ended.signal })
      fill(content, shown(said))
    } catch (error) {
      if (ended.signal.aborted) return
      fill(content)
      wrong.say(error)
    }
  }

  since.addEventListener("change", load)
  load()
  const element = h("section", { class: "page", "aria-label": "Usage" },
    h("h1", { tabindex: "-1" }, "Usage"), field("The last", since), wrong.element, content)
  return { element, end: () => ended.abort() }
}

/** `writtenRows` is "Written rows". */
function title(name) {
  const words = name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const text = (value) => (typeof value === "number" ? count(value) : value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value))

function shown(value) {
  const entries = Object.entries(value)
  const plain = entries.filter(([, one]) => typeof one !== "object" || one === null)
  const parts = [terms(plain.map(([name, one]) => [title(name), text(one)]), { class: "wide" })]
  for (const [name, one] of entries) {
    if (typeof one !== "object" || one === null) continue
    parts.push(h("h2", {}, title(name)), Array.isArray(one) ? rows(name, one) : h("div", {}, ...shown(one)))
  }
  return parts
}

function rows(name, all) {
  if (all.length === 0) return h("p", { class: "soft" }, "None.")
  if (all.some((row) => typeof row !== "object" || row === null)) return h("p", {}, all.map(text).join(", "))
  const keys = Object.keys(all[0])
  const row = (one) => h("tr", {}, ...keys.map((key) => cell(title(key), text(one[key] ?? null))))
  return table(title(name), keys.map(title), h("tbody", {}, ...all.map(row)))
}
