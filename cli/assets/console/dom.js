// Elements, and what is said to those who hear the page.

/**
 * An element with attributes and children. Attributes that begin with `on` are listeners; those that are
 * `false`, `null` or `undefined` are left out. Text is never read as markup.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue
    if (key.startsWith("on")) element.addEventListener(key.slice(2), /** @type {EventListener} */ (value))
    else element.setAttribute(key, value === true ? "" : String(value))
  }
  element.append(...shown(children))
  return element
}

/** Replaces all that is in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children))
  return element
}

const shown = (children) =>
  children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== "")

/** A button. `attributes` may have a class; it submits nothing. */
export const button = (label, onclick, attributes = {}) => h("button", { type: "button", ...attributes, onclick }, label)

/** A label with its control behind it. */
export const field = (label, control, hint) =>
  h("label", { class: "field" }, h("span", {}, label), control, hint ? h("small", {}, hint) : null)

/** A list of choices, of which one is chosen: [value, text] each. */
export function select(choices, chosen, attributes = {}) {
  const list = h("select", attributes)
  for (const [value, text] of choices) list.append(h("option", { value, selected: value === chosen }, text))
  return list
}

/** What a field says whose text is no prose. */
export const VERBATIM = { autocomplete: "off", spellcheck: "false", autocapitalize: "off" }

/** Names and what they stand for; those without a value are left out. */
export const terms = (rows, attributes = {}) =>
  h("dl", attributes, ...rows.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))

/** A table with a name for those who do not see it. */
export const table = (caption, heads, body, attributes = {}) =>
  h("table", { class: "cards", ...attributes }, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, ...heads.map((name) => (name ? h("th", { scope: "col" }, name) : h("td"))))), body)

/** A cell that says what it is where there is no room for columns. */
export const cell = (label, value, attributes = {}) => h("td", { "data-label": label, ...attributes }, value)

/** What is wrong, where somebody looks for it; it is read out at once. */
export function trouble() {
  const element = h("p", { class: "wrong", role: "alert", hidden: true })
  return {
    element,
    /** Shows a reason, or nothing when there is none. */
    say(error) {
      const text = error ? (error.message ?? String(error)) : ""
      element.hidden = text === ""
      element.textContent = text
    },
  }
}

/** Milliseconds between two announcements, so that a busy stream does not talk without end. */
const PAUSE = 3000
let last = 0
let waiting = 0

/** Says something politely to a screen reader. Of what comes in haste, only the newest is said. */
export function announce(text) {
  clearTimeout(waiting)
  const wait = Math.max(0, last + PAUSE - Date.now())
  waiting = setTimeout(() => {
    last = Date.now()
    const status = document.getElementById("status")
    if (status) status.textContent = text
  }, wait)
}

/** Copies text, and says so on the button for a moment. */
export function copier(text, label = "Copy", attributes = {}) {
  const copy = button(label, async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text)
      copy.textContent = "Copied"
      announce("Copied")
    } catch {
      copy.textContent = "Not allowed"
    }
    setTimeout(() => (copy.textContent = label), 1500)
  }, attributes)
  return copy
}
