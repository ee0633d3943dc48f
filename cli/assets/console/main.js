// Puts the page together: who is served, which sections there are, and what the address says is shown.

import { askJson } from "./api.js"
import { last, log } from "./costs.js"
import { closeAll } from "./dialogs.js"
import { fill, h, select, terms } from "./dom.js"
import { keyboard, shortcuts } from "./keyboard.js"
import { projects } from "./projects.js"
import { go, href, parse } from "./router.js"
import { stream } from "./stream.js"
import { streams } from "./streams.js"
import { subscription, subscriptions } from "./subscriptions.js"
import { usage } from "./usage.js"

/**
 * @typedef {object} Info
 * @property {string} server
 * @property {string} root the URL that paths of streams are added to
 * @property {boolean} isRemote
 * @property {string | null} project
 * @property {string[] | null} projects
 * @property {boolean} canMakeTokens
 * @property {string} version
 * @property {string | null} environment
 */

const main = document.getElementById("main")
const sections = document.getElementById("sections")
const place = document.getElementById("place")

/** @type {Info} */
let info
let list
let view = null
/** @type {import("./router.js").Route} */
let route

async function start() {
  last(document.getElementById("last"))
  document.getElementById("help").addEventListener("click", shortcuts)
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault()
    main.focus()
  })
  try {
    info = await askJson("GET", "/api/console")
  } catch (error) {
    return fill(main, h("p", { class: "wrong page", role: "alert" }, error.message))
  }
  list = streams(info)
  addEventListener("hashchange", () => show(true))
  keyboard({
    "/": () => (route.view.startsWith("stream") && isWide() ? list.focus() : leave("streams", () => list.focus())),
    s: () => leave("streams"),
    u: () => leave("subscriptions"),
    t: () => leave("projects"),
    r: () => leave("requests"),
    n: () => route.view.startsWith("stream") && list.create(),
    m: () => view?.focusSender?.(),
    f: () => view?.focusFilter?.(),
    p: () => view?.toggle?.(),
  })
  show(false)
}

const isWide = () => matchMedia("(min-width: 50rem)").matches

/** Goes to a section, and does something there. */
function leave(section, then) {
  const to = href(section, route.project, section === "streams" ? list.folder : "")
  if (location.hash !== to) location.hash = to
  // The event that shows it comes later.
  if (then) setTimeout(then, 50)
}

function show(hasMoved) {
  closeAll()
  view?.end()
  view = null
  route = parse(location.hash, info.project)
  frame()
  const views = {
    streams: () => (list.open(route.project, route.path), both(welcome())),
    stream: () => (list.mark(route.project, route.path), both((view = stream(info, route.project, route.path, list)).element)),
    subscriptions: () => alone(route.path ? subscription(route.project, route.path) : subscriptions(route.project)),
    projects: () => alone(projects(info, route.project, refresh)),
    requests: () => alone(log()),
    usage: () => alone(usage()),
  }
  views[route.view]()
  document.title = `${route.path || NAMES[route.view]} · Streams console`
  // Whoever goes on by keyboard or listens is where the new page begins.
  if (hasMoved && !main.contains(document.activeElement)) main.querySelector("h1")?.focus()
  if (hasMoved && route.view === "stream") main.querySelector("h1")?.focus()
}

const NAMES = { streams: "Streams", stream: "Stream", subscriptions: "Subscriptions", projects: "Projects", requests: "Requests", usage: "Usage" }

function both(content) {
  main.className = `two ${route.view}`
  if (main.firstElementChild === list.element) {
    while (list.element.nextSibling) list.element.nextSibling.remove()
    main.append(content)
  } else fill(main, list.element, content)
}

function alone(made) {
  view = made
  main.className = "one"
  fill(main, made.element)
}

/** The projects have changed. */
async function refresh() {
  info = await askJson("GET", "/api/console", undefined, { isQuiet: true }).catch(() => info)
  frame()
}

/** What stands on top of every page. */
function frame() {
  const names = ["streams", "subscriptions", ...(info.canMakeTokens ? ["projects"] : []), "requests", ...(info.isRemote ? ["usage"] : [])]
  const now = route.view === "stream" ? "streams" : route.view
  fill(sections, names.map((name) =>
    h("a", { href: href(name, route.project, name === "streams" ? list.folder : ""), "aria-current": name === now ? "page" : null }, NAMES[name])))
  const host = info.server.replace(/^https?:\/\//, "").replace(/\/$/, "")
  const known = info.projects ?? []
  const all = route.project === null || known.includes(route.project) ? known : [route.project, ...known]
  const chooser = select(all.map((name) => [name, name]), route.project ?? "", { "aria-label": "Project" })
  chooser.addEventListener("change", () => go(route.view === "stream" ? "streams" : route.view, chooser.value, ""))
  fill(place,
    h("span", { class: `mark ${info.isRemote ? "far" : ""}` }, info.isRemote ? `deployed${info.environment ? `, ${info.environment}` : ""}` : (info.environment ?? "local")),
    h("span", { class: "host", title: info.server }, host),
    route.project !== null && chooser)
}

/** What is beside the list while no stream is open. */
function welcome() {
  const root = `${info.root}${route.project === null ? "" : `/${route.project}`}`
  return h("section", { class: "welcome", "aria-label": "Start" },
    h("h1", { tabindex: "-1" }, route.project ?? "Streams"),
    h("p", {}, "Choose a stream, or make one."),
    terms([
      ["Streams are below", h("code", {}, root)],
      ["From a shell", h("code", {}, "durable-streams stream append orders '{\"id\":1}'")],
      ["Keys", h("span", {}, h("kbd", {}, "/"), " searches, ", h("kbd", {}, "n"), " makes a stream, ", h("kbd", {}, "?"), " lists the rest")],
    ], { class: "wide" }),
    h("p", { class: "soft" }, `durable-streams ${info.version}`))
}

start()
