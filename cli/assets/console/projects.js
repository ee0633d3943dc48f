// Projects and their tokens. A secret or a token is shown once, where it was made, and is nowhere else: it
// goes with the page, and with the first click that says so.

import { askJson } from "./api.js"
import { confirm } from "./dialogs.js"
import { announce, button, cell, copier, field, fill, h, select, table, trouble, VERBATIM } from "./dom.js"
import { href } from "./router.js"

const PROJECTS = "/api/projects"

/**
 * @param {{ project: string | null, projects: string[] | null, canMakeTokens: boolean }} info
 * @param {string | null} chosen
 * @param {() => void} onchanged
 */
export function projects(info, chosen, onchanged) {
  const ended = new AbortController()
  const wrong = trouble()
  const body = h("tbody", {})
  const names = select((info.projects ?? []).map((name) => [name, name]), chosen ?? "", { name: "project" })
  const secret = once("The secret of the project. Keep it now: it is not shown again. Whoever has it can sign tokens.")
  const token = once("The token. Copy it now: it is not shown again.")

  async function load() {
    try {
      const all = await askJson("GET", PROJECTS, undefined, { signal: ended.signal })
      fill(body, all.map(row))
      const now = names.value
      fill(names, all.map(({ name }) => h("option", { value: name, selected: name === now }, name)))
      wrong.say(null)
    } catch (error) {
      if (!ended.signal.aborted) wrong.say(error)
    }
  }

  const row = (project) =>
    h("tr", {},
      h("th", { scope: "row" }, h("a", { href: href("streams", project.name, "") }, project.name)),
      cell("Read by", project.error ?? (project.isPublic ? "everyone" : "who has a token")),
      h("td", {}, button("Delete", () => remove(project.name), { class: "quiet danger", "aria-label": `Delete ${project.name}` })))

  function remove(name) {
    confirm({
      title: `Delete the project ${name}`,
      name,
      text: "Its secrets go, and with them the way to its streams, for good: a new project of that name gets none of them.",
      does: "Delete the project",
      async work(typed) {
        await askJson("DELETE", `${PROJECTS}/${encodeURIComponent(name)}`, { name: typed })
        announce(`Deleted ${name}`)
        onchanged()
        load()
      },
    })
  }

  const name = h("input", { name: "name", ...VERBATIM, placeholder: "shop" })
  const make = submitted("Create", secret, async () => {
    if (name.value.trim() === "") throw new Error("Give the project a name")
    const made = await askJson("POST", PROJECTS, { name: name.value.trim() })
    name.value = ""
    onchanged()
    load()
    return made.secret
  })
  const scope = select([["read", "reading"], ["write", "reading and writing"]], "read", { name: "scope" })
  const only = h("input", { name: "stream", ...VERBATIM, placeholder: "all streams" })
  const expires = select([["15m", "15 minutes"], ["1h", "an hour"], ["1d", "a day"], ["30d", "30 days"]], "1h", { name: "expires" })
  const mint = submitted("Make a token", token, async () => {
    const stream = only.value.trim()
    const wanted = { project: names.value, scope: scope.value, expires: expires.value, ...(stream && { stream }) }
    return (await askJson("POST", "/api/tokens", wanted)).token
  })

  if (info.canMakeTokens) load()
  const element = h("section", { class: "page", "aria-label": "Projects and tokens" },
    h("h1", { tabindex: "-1" }, "Projects and tokens"),
    info.canMakeTokens ? parts() : h("p", { class: "soft" }, "This server has no projects whose secrets are at hand here: it is open to everyone, or of another place."))

  function parts() {
    return [
      wrong.element,
      table("Projects", ["Project", "Read by", ""], body),
      make("New project", "project", field("Name", name)), secret.element,
      mint("New token", "token", field("Project", names), field("For", scope), field("Only the stream", only), field("It lasts", expires)), token.element,
    ]
  }

  return {
    element,
    end() {
      ended.abort()
      secret.clear()
      token.clear()
    },
  }
}

/** A form that makes something which is shown in its place. */
function submitted(does, place, work) {
  return (title, id, ...fields) => {
    const wrong = trouble()
    const send = h("button", { class: "main" }, does)
    const form = h("form", { class: "line", "aria-labelledby": id, novalidate: true }, h("h2", { id }, title),
      h("div", { class: "bar fields" }, ...fields, send), wrong.element)
    form.addEventListener("submit", async (event) => {
      event.preventDefault()
      place.clear()
      send.disabled = true
      try {
        wrong.say(null)
        place.show(await work())
      } catch (error) {
        wrong.say(error)
      } finally {
        send.disabled = false
      }
    })
    return form
  }
}

/** A place for what is shown once. It holds the text nowhere but on the page. */
function once(words) {
  const element = h("div", { class: "once", hidden: true })
  const clear = () => {
    element.hidden = true
    fill(element)
  }
  return {
    element,
    clear,
    show(text) {
      const output = h("output", { tabindex: "0", "aria-label": words }, text)
      fill(element, h("p", {}, words), output,
        h("div", { class: "bar" }, copier(() => output.textContent, "Copy", { class: "main" }), button("Done", clear, { class: "quiet" })))
      element.hidden = false
      output.focus()
    },
  }
}
