// Subscriptions: a table of them, and one with its streams and how far behind it is with each.

import { ask, askJson, controlUrl, each, streamUrl, whole } from "./api.js"
import { confirm } from "./dialogs.js"
import { announce, button, cell, fill, h, table, terms, trouble } from "./dom.js"
import { count, moment, place, position } from "./format.js"
import { go, href } from "./router.js"

const PAGE = 50
/** So many streams of a subscription are listed at once. */
const LINKS = 100
/** So many requests are on their way at once; a browser makes six. */
const WIDTH = 3

const one = (project, id, rest = "") => controlUrl(project, `subscriptions/${encodeURIComponent(id)}${rest}`)

const HEADS = ["Id", "Type", "About", "State", "Streams", "Lag", "Last error"]

/** All of a root. */
export function subscriptions(project) {
  const wrong = trouble()
  const body = h("tbody", {})
  const note = h("p", { class: "empty", hidden: true })
  const more = button("More", () => load(), { class: "quiet", hidden: true })
  const ended = new AbortController()
  let next = null
  let isEmpty = true

  async function load() {
    try {
      const query = new URLSearchParams({ limit: String(PAGE), ...(next && { after: next }) })
      const page = await askJson("GET", controlUrl(project, `subscriptions?${query}`), undefined, { signal: ended.signal })
      next = page.next
      more.hidden = !next
      isEmpty &&= page.subscriptions.length === 0
      note.hidden = !isEmpty
      note.textContent = "No subscriptions. durable-streams subscriptions create makes one."
      const rows = page.subscriptions.map(({ id }) => [id, body.appendChild(row(id))])
      await each(rows, WIDTH, async ([id, element]) => {
        const state = await askJson("GET", `${one(project, id)}?limit=1`, undefined, { signal: ended.signal }).catch(() => null)
        if (state) element.replaceWith(row(id, state))
      })
    } catch (error) {
      if (!ended.signal.aborted) wrong.say(error)
    }
  }

  const row = (id, state) =>
    h("tr", {},
      h("th", { scope: "row" }, h("a", { href: href("subscriptions", project, id) }, id)),
      ...[state?.type, state && about(state), state && health(state), state && count(state.streams_total), state && count(state.lag), state && (state.last_error ?? "none")]
        .map((value, at) => cell(HEADS[at + 1], value ?? "…")))

  load()
  const element = h("section", { class: "page", "aria-label": "Subscriptions" },
    h("h1", { tabindex: "-1" }, "Subscriptions"), wrong.element,
    table("Subscriptions", HEADS, body), note, more)
  return { element, end: () => ended.abort() }
}

const about = ({ pattern, streams_total: total }) => pattern ?? `${count(total)} by name`

/** How it is, in a word or two. */
function health(state) {
  const word = state.parked ? "given up" : state.status === "failed" ? "failing" : (state.phase ?? state.status)
  const isWell = state.status !== "failed"
  return h("span", { class: `mark ${isWell ? "open" : "bad"}` }, word)
}

const LINK = ["Stream", "Named by", "Done up to", "Tail", "Lag"]

/** One, with its streams. */
export function subscription(project, id) {
  const wrong = trouble()
  const content = h("div", {}, h("p", { class: "wait" }, "Loading…"))
  const actions = h("div", { class: "bar actions" })
  const ended = new AbortController()
  let after = ""

  async function load() {
    wrong.say(null)
    try {
      const state = await askJson("GET", `${one(project, id)}?limit=${LINKS}`, undefined, { signal: ended.signal })
      draw(state)
    } catch (error) {
      if (ended.signal.aborted) return
      fill(content)
      wrong.say(error.status === 404 ? "There is no such subscription." : error)
    }
  }

  function draw(state) {
    const canRetry = state.parked || state.status === "failed"
    fill(actions,
      button("Look again", load, { class: "quiet" }),
      canRetry && button("Try again", retry, { class: "main" }),
      button("Delete", remove, { class: "quiet danger", "aria-label": "Delete the subscription" }))
    const body = h("tbody", {})
    const more = button("More streams", further, { class: "quiet", hidden: true })
    fill(content, all(state),
      h("h2", {}, "Streams"),
      state.streams_total === 0 && h("p", { class: "soft" }, "None so far."),
      table("How far it is with each stream", LINK, body, { class: "cards pairs", hidden: state.streams_total === 0 }), more)
    add(state.streams)

    async function add(streams) {
      after = streams.at(-1)?.path ?? after
      more.hidden = body.childElementCount + streams.length >= state.streams_total || streams.length === 0
      const rows = streams.map((link) => [link, body.appendChild(row(link))])
      await each(rows, WIDTH, async ([link, element]) => {
        const tail = await ask("HEAD", streamUrl(whole(project, link.path)), { signal: ended.signal, isQuiet: true })
          .then((answer) => answer.headers.get("Stream-Next-Offset"), () => null)
        if (!ended.signal.aborted) element.replaceWith(row(link, tail ?? "none"))
      })
    }

    async function further() {
      const query = new URLSearchParams({ limit: String(LINKS), after })
      const page = await askJson("GET", `${one(project, id)}?${query}`, undefined, { signal: ended.signal })
      add(page.streams)
    }
  }

  function row(link, tail) {
    const [acked, end] = [position(link.acked_offset) ?? (link.acked_offset === "-1" ? 0 : null), position(tail)]
    const lag = acked === null || end === null ? null : count(Math.max(0, end - acked))
    return h("tr", {},
      h("th", { scope: "row" }, h("a", { href: href("stream", project, link.path) }, link.path), link.refused && h("small", { class: "wrong" }, link.refused)),
      ...[link.link_type === "glob" ? "pattern" : "name", acked === null ? link.acked_offset : count(acked), tail && (tail === "none" ? "no stream" : place(tail)), tail && (lag ?? "unknown")]
        .map((value, at) => cell(LINK[at + 1], value ?? "…")))
  }

  async function retry() {
    try {
      await ask("POST", one(project, id, "/retry"))
      announce("It is tried again")
      await load()
    } catch (error) {
      wrong.say(error)
    }
  }

  function remove() {
    confirm({
      title: `Delete ${id}`,
      name: id,
      text: "The subscription forgets how far it is with each stream. The streams stay.",
      does: "Delete the subscription",
      async work() {
        await ask("DELETE", one(project, id))
        announce(`Deleted ${id}`)
        go("subscriptions", project, "")
      },
    })
  }

  load()
  const element = h("section", { class: "page", "aria-label": `Subscription ${id}` },
    h("div", { class: "head" },
      h("div", { class: "title" }, h("a", { class: "back always", href: href("subscriptions", project, "") }, "‹ Subscriptions"), h("h1", { tabindex: "-1" }, id)), actions),
    wrong.element, content)
  return { element, end: () => ended.abort() }
}

const all = (state) =>
  terms([
    ["State", health(state)],
    ["Last error", state.last_error && h("span", { class: "wrong" }, state.last_error)],
    ["Attempts in vain", state.attempts ? count(state.attempts) : null],
    ["Next attempt", state.next_attempt_at && moment(state.next_attempt_at)],
    ["Lag", `${count(state.lag)} in ${count(state.pending)} of ${count(state.streams_total)} streams`],
    ["Type", state.type],
    ["Pattern", state.pattern],
    ["Webhook", state.webhook?.url],
    ["Wakes by", state.wake_stream],
    ["Copies into", state.target_stream],
    ["Held by", state.holder],
    ["Lease ends", state.lease_expires_at && moment(state.lease_expires_at)],
    ["Lease", state.lease_ttl_ms ? `${state.lease_ttl_ms / 1000} s` : null],
    ["Linking", state.backfill?.state === "running" ? `running, ${count(state.backfill.linked)} so far` : null],
    ["Created", state.created_at && moment(state.created_at)],
    ["Description", state.description],
  ], { class: "wide" })
