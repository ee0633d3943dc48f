// Which streams there are: those below a prefix, folder by folder, page by page.

import { askJson, controlUrl, Refused } from "./api.js"
import { announce, button, fill, h, trouble, VERBATIM } from "./dom.js"
import { counted, count, KINDS, kind, moment } from "./format.js"
import { create } from "./make.js"
import { go, href } from "./router.js"

const PAGE = 200
/** Milliseconds between looks at a server on this machine, where looking costs nothing. */
const AGAIN = 5000
/** Milliseconds after the last key in the search. */
const SOON = 250
/** Behind all that begins with a folder's name: no path has this character in it. */
const LAST = "\u{10ffff}"

/**
 * The list beside the streams. It stays while one stream after the other is looked at.
 * @param {{ isRemote: boolean }} info
 */
export function streams(info) {
  let project = null
  let prefix = ""
  let current = ""
  let entries = new Map()
  let next = null
  let isFirst = true
  let seen = ""
  let asked = new AbortController()
  let timer = 0

  const search = h("input", {
    type: "search", id: "prefix", placeholder: "Prefix", "aria-label": "Streams whose path begins with",
    "aria-keyshortcuts": "/", ...VERBATIM,
  })
  const crumbs = h("nav", { class: "crumbs", "aria-label": "Folder" })
  const found = h("ul", { class: "entries", "aria-label": "Streams" })
  const more = button("More", () => load(true), { class: "quiet", hidden: true })
  const figures = h("p", { class: "soft figures" })
  const wrong = trouble()

  async function load(isFurther = false, isQuiet = false) {
    asked.abort()
    asked = new AbortController()
    const { signal } = asked
    try {
      const query = new URLSearchParams({ limit: String(PAGE) })
      if (prefix) query.set("prefix", prefix)
      if (isFurther && next) query.set("after", next)
      const page = await askJson("GET", controlUrl(project, `streams?${query}`), undefined, { signal, isQuiet })
      // What is as it was stays as it is, under the mouse too.
      const now = JSON.stringify(page)
      if (isQuiet && now === seen) return
      seen = isFurther ? "" : now
      if (!isFurther) entries = new Map()
      for (const stream of page.streams) put(stream)
      next = page.next && skipped(page)
      wrong.say(null)
      isFirst = false
      draw()
      if (!isQuiet) announce(figures.textContent)
    } catch (error) {
      if (signal.aborted) return
      const isOff = error instanceof Refused && (error.status === 501 || error.code === "SUBSCRIPTION_NOT_FOUND")
      seen = ""
      wrong.say(isOff ? "This server does not list its streams. Write a whole path and press Enter to open a stream." : error)
      entries = new Map()
      next = null
      draw()
    }
  }

  /** Notes a stream, or the folder it is in. */
  function put(stream) {
    const start = prefix.lastIndexOf("/") + 1
    const slash = stream.path.indexOf("/", Math.max(start, prefix.length))
    const name = slash < 0 ? stream.path : stream.path.slice(0, slash + 1)
    const folder = entries.get(name)
    if (slash < 0) entries.set(name, { path: stream.path, stream })
    else entries.set(name, { path: name, holds: (folder?.holds ?? 0) + 1 })
  }

  /** After what the next page begins: a folder that is not over yet is passed over. */
  function skipped(page) {
    const last = [...entries.values()].at(-1)
    if (!last || last.stream || !page.next.startsWith(last.path)) return page.next
    last.isMore = true
    return last.path + LAST
  }

  function draw() {
    fill(crumbs, trail())
    const shown = [...entries.values()]
    fill(found, shown.map((entry) => h("li", {}, entry.stream ? item(entry.stream) : folder(entry))))
    more.hidden = !next
    const names = shown.filter((entry) => entry.stream).length
    const folders = shown.length - names
    const words = [folders > 0 && counted(folders, "folder"), names > 0 && counted(names, "stream")].filter(Boolean)
    figures.textContent = words.length > 0 ? words.join(", ") + (next ? " and more" : "") : ""
    empty.hidden = shown.length > 0 || isFirst || !wrong.element.hidden
    empty.textContent = prefix ? `No stream begins with ${prefix}` : "No streams yet."
  }

  function trail() {
    const folders = prefix.split("/").slice(0, -1)
    if (folders.length === 0) return []
    const steps = [h("a", { href: href("streams", project, "") }, "all")]
    for (const [at, name] of folders.entries()) {
      const path = `${folders.slice(0, at + 1).join("/")}/`
      steps.push(" / ", h("a", { href: href("streams", project, path) }, name))
    }
    return steps
  }

  function folder({ path, holds, isMore }) {
    return h("a", { class: "entry folder", href: href("streams", project, path), title: path },
      h("span", { class: "name" }, tail(path)), h("span", { class: "soft", "aria-label": counted(holds, "stream") + (isMore ? " and more" : "") }, count(holds) + (isMore ? "+" : "")))
  }

  function item({ path, content_type: type, created_at: made }) {
    const of = kind(type)
    return h("a", {
      class: "entry", href: href("stream", project, path), title: made ? `${path}\n${type}\ncreated ${moment(made)}` : path,
      "aria-current": path === current ? "page" : null,
    }, h("span", { class: "name" }, tail(path)), h("span", { class: `kind ${of}` }, type ? KINDS[of] : ""))
  }

  /** What of a path is not in the folder that is open. */
  const tail = (path) => path.slice(prefix.lastIndexOf("/") + 1)

  search.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      prefix = search.value
      load()
    }, SOON)
  })
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault()
      found.querySelector("a")?.focus()
    }
    // Also what is not listed, as on a server that lists nothing, can be opened by its path.
    if (event.key === "Enter" && search.value && !search.value.endsWith("/")) go("stream", project, search.value)
  })
  found.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const links = [...found.querySelectorAll("a")]
    const to = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement)) + step
    if (to < 0) search.focus()
    else links[to]?.focus()
  })

  const empty = h("p", { class: "empty", hidden: true })
  const made = button("New", () => create(project, folderOf(prefix), () => load()), { class: "main", "aria-label": "New stream", "aria-keyshortcuts": "n", id: "new" })
  const element = h("section", { class: "side", "aria-label": "All streams" },
    h("div", { class: "bar" }, search, made),
    h("div", { class: "bar" }, figures, h("span", { class: "gap" }), button("↻", () => load(), { class: "quiet small", "aria-label": "List again", title: "List again" })),
    crumbs, wrong.element, found, more, empty)

  setInterval(() => {
    const isIdle = document.hidden || !element.isConnected || next || found.contains(document.activeElement)
    if (!info.isRemote && !isIdle && document.activeElement !== search) load(false, true)
  }, AGAIN)

  return {
    element,
    /** Shows what is below a prefix, or goes on showing it. */
    open(inProject, path) {
      const isSame = !isFirst && inProject === project && path === prefix
      current = ""
      project = inProject
      prefix = path
      search.value = path
      if (isSame) draw()
      else load()
    },
    /** Marks the stream that is open. */
    mark(inProject, path) {
      current = path
      if (inProject !== project || isFirst || !path.startsWith(prefix)) {
        project = inProject
        prefix = folderOf(path)
        search.value = prefix
        load()
      } else draw()
    },
    again: () => load(false, true),
    focus: () => (search.focus(), search.select()),
    create: () => made.click(),
    get folder() {
      return folderOf(prefix)
    },
  }
}

const folderOf = (path) => path.slice(0, path.lastIndexOf("/") + 1)
