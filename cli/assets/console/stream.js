// One stream: what it is called and what can be done with it, its live end, the box that appends, and facts.

import { whole } from "./api.js"
import { announce, button, copier, fill, h } from "./dom.js"
import { facts } from "./facts.js"
import { forks } from "./forks.js"
import { KINDS, kind } from "./format.js"
import { inspect } from "./inspect.js"
import { close, fork, remove } from "./make.js"
import { go, href } from "./router.js"
import { sender } from "./sender.js"
import { tail } from "./tail.js"

/** Milliseconds between looks at the facts, while something comes. */
const AGAIN = 4000

/**
 * @param {{ isRemote: boolean, root: string }} info
 * @param {string | null} project
 * @param {string} path below the root
 * @param {import("./streams.js").streams extends (...of: any) => infer List ? List : never} list
 */
export function stream(info, project, path, list) {
  const element = h("section", { class: "stream", "aria-label": `Stream ${path}` })
  const all = whole(project, path)
  const ended = new AbortController()
  const marks = h("span", { class: "marks" })
  const actions = h("div", { class: "bar actions" })
  const about = h("details", { class: "about", open: matchMedia("(min-width: 75rem)").matches }, h("summary", {}, "About the stream"))
  const foot = h("div", { class: "foot" })
  let view = null
  let box = null
  let timer = 0
  let known = null

  const title = h("div", { class: "title" },
    h("a", { class: "back", href: href("streams", project, list.folder) }, "‹ Streams"),
    h("h1", { tabindex: "-1" }, ...named(path)), marks)
  // The head stays where it is: the title has the focus of whoever comes here by keyboard.
  fill(element, h("div", { class: "head" }, title, actions), h("p", { class: "wait" }, "Loading…"))
  const show = (content) => element.lastElementChild.replaceWith(content)

  start()

  async function start() {
    try {
      known = await inspect(project, path, { signal: ended.signal })
    } catch (error) {
      if (ended.signal.aborted) return
      return show(h("p", { class: "wrong", role: "alert" }, missing(error)))
    }
    view = tail(all, known, () => look(false))
    show(h("div", { class: "body" }, h("div", { class: "work" }, view.element, foot), about))
    draw()
    timer = setInterval(() => document.hidden || known.closed || info.isRemote || look(true), AGAIN)
  }

  /** Asks anew what is known of the stream. */
  async function look(isQuiet) {
    try {
      known = await inspect(project, path, { signal: ended.signal, isQuiet })
      draw()
    } catch (error) {
      // The tail says that the stream is gone or the server away.
      if (!ended.signal.aborted && !isQuiet) announce(error.message)
    }
  }

  let drawn = ""
  // Its forks are looked up again when there are others, and not with each message.
  let drawnFamily = ""
  let tree = null
  function draw() {
    const now = JSON.stringify(known)
    if (now === drawn || (about.contains(document.activeElement) && drawn !== "")) return
    drawn = now
    fill(marks, mark(KINDS[kind(known.contentType)]), known.closed ? mark("closed", "shut") : mark("open", "open"),
      known.public && mark("public"), known.forkedFrom && mark("fork"))
    fill(actions,
      copier(() => `${info.root}/${all.split("/").map(encodeURIComponent).join("/")}`, "Copy URL", { class: "quiet" }),
      button("Fork", () => fork(project, path, known), { class: "quiet" }),
      !known.closed && button("Close", () => close(project, path, () => look(false)), { class: "quiet", "aria-label": "Close the stream" }),
      button("Delete", () => remove(project, path, known, gone), { class: "quiet danger", "aria-label": "Delete the stream" }))
    const isOpen = about.querySelector("details")?.open
    const family = JSON.stringify([known.forkedFrom, known.forks])
    if (family !== drawnFamily) tree = known.forks && forks(project, path, known)
    drawnFamily = family
    fill(about, about.firstElementChild, facts(project, known, tree))
    if (isOpen) about.querySelector("details").open = true
    if (known.closed && (box || foot.childElementCount === 0)) {
      box = null
      fill(foot, h("p", { class: "soft" }, "The stream is closed: nothing can be appended to it."))
    } else if (!known.closed && !box) {
      box = sender(all, known.contentType, () => look(true))
      fill(foot, box.element)
    }
  }

  function gone() {
    list.again()
    go("streams", project, list.folder)
  }

  return {
    element,
    focusSender: () => box?.focus(),
    focusFilter: () => view?.focusFilter(),
    toggle: () => view?.toggle(),
    end() {
      ended.abort()
      clearInterval(timer)
      view?.end()
    },
  }
}

const mark = (text, of = "") => h("span", { class: `mark ${of}` }, text)

/** A path that may be broken over lines behind its slashes. */
const named = (path) => path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr")])

function missing(error) {
  if (error.status === 404) return "There is no such stream."
  if (error.status === 410) return "The stream was deleted; only its forks still use what it holds."
  return error.message
}
