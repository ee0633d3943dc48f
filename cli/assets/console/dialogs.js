// Questions that come before something is made or taken away.

import { button, fill, h, trouble, VERBATIM } from "./dom.js"

/**
 * Opens a form over the page. It closes when what it does succeeds, or by Escape; the focus goes back to
 * where it was.
 * @param {object} how
 * @param {string} how.title
 * @param {(Node | string)[]} how.content
 * @param {string} how.does the text of the button
 * @param {boolean} [how.isGrave] whether something is lost by it
 * @param {(form: HTMLFormElement) => Promise<void>} how.work what fails is said in the form
 */
export function form({ title, content, does, isGrave = false, work }) {
  const wrong = trouble()
  const submit = h("button", { class: isGrave ? "grave" : "main" }, does)
  const cancel = button("Cancel", () => dialog.close())
  const element = h("form", { method: "dialog", novalidate: true },
    h("h2", { id: "asked" }, title), ...content, wrong.element, h("div", { class: "bar end" }, cancel, submit))
  const dialog = h("dialog", { "aria-labelledby": "asked" }, element)
  element.addEventListener("submit", async (event) => {
    event.preventDefault()
    submit.disabled = true
    wrong.say(null)
    try {
      await work(element)
      dialog.close()
    } catch (error) {
      wrong.say(error)
    } finally {
      submit.disabled = false
    }
  })
  open(dialog)
  return dialog
}

/**
 * Asks for a name to be typed before something is lost.
 * @param {{ title: string, name: string, text: string, does: string, work: (typed: string) => Promise<void> }} how
 */
export function confirm({ title, name, text, does, work }) {
  const typed = h("input", { id: "typed", ...VERBATIM, required: true })
  const content = [
    h("p", {}, text),
    h("label", { class: "field", for: "typed" }, h("span", {}, "Type ", h("code", {}, name), " to go on"), typed),
  ]
  const check = async () => {
    if (typed.value !== name) {
      typed.focus()
      throw new Error(`What is typed is not ${name}`)
    }
    await work(typed.value)
  }
  return form({ title, content, does, isGrave: true, work: check })
}

/** Shows text that is read and closed. */
export function note(title, ...content) {
  const dialog = h("dialog", { "aria-labelledby": "noted" })
  const close = button("Close", () => dialog.close(), { class: "main", autofocus: true })
  fill(dialog, h("div", { class: "sheet" }, h("h2", { id: "noted" }, title), ...content, h("div", { class: "bar end" }, close)))
  open(dialog)
  return dialog
}

function open(dialog) {
  document.querySelector("dialog")?.remove()
  document.body.append(dialog)
  dialog.addEventListener("close", () => dialog.remove())
  dialog.showModal()
}

/** Whether somebody is being asked something. */
export const isAsking = () => document.querySelector("dialog[open]") !== null

/** An address that changes leaves a question behind. */
export const closeAll = () => document.querySelector("dialog")?.close()
