// Where a stream comes from and what was forked off it, as a tree with the origin on top.

import { button, fill, h } from "./dom.js"
import { place } from "./format.js"
import { inspect } from "./inspect.js"
import { href } from "./router.js"

/** So many origins are looked up; a chain may be longer. */
const HIGHEST = 12
/** So many forks of a stream are shown at first. */
const SHOWN = 50

/**
 * @param {string | null} project
 * @param {string} path below the root
 * @param {import("./inspect.js").Stream} stream
 */
export function forks(project, path, stream) {
  const isAlone = !stream.forkedFrom && stream.forks.length === 0
  const element = h("div", { class: "tree" }, isAlone && h("p", { class: "soft" }, "It is no fork, and has none."))
  if (!isAlone) whole(project, path, stream).then((tree) => fill(element, h("ul", {}, tree)))
  return element
}

/** The place where a fork leaves its origin. */
const at = ({ offset, subOffset }) =>
  h("li", { class: "soft at" }, `from ${place(offset)}${subOffset ? ` and ${subOffset} further` : ""}`)

/** The tree, as far up as can be found. */
async function whole(project, path, stream) {
  const here = h("strong", { "aria-current": "page", title: path }, path)
  let child = h("li", {}, here, stream.forks.length > 0 && h("ul", {}, ...some(project, stream.forks)))
  let from = stream.forkedFrom
  let name = path
  for (let height = 0; from && height < HIGHEST; height += 1) {
    // Who may see one stream alone is not told the names of others.
    const source = from.path === null ? null : await inspect(project, from.path).catch(() => null)
    const others = (source?.forks ?? []).filter((one) => one.path !== name)
    const top = from.path === null ? h("span", { class: "soft" }, "a stream that is not named") : link(project, from.path, source ? "" : "gone")
    child = h("li", {}, top, h("ul", {}, at(from), child, ...some(project, others)))
    name = from.path
    from = source?.forkedFrom ?? null
  }
  return child
}

function some(project, children) {
  const items = children.slice(0, SHOWN).map((one) => further(project, one.path))
  const rest = children.slice(SHOWN)
  if (rest.length === 0) return items
  const more = h("li", {}, button(`${rest.length} more`, () => more.replaceWith(...some(project, rest)), { class: "quiet" }))
  return [...items, more]
}

/** A fork whose own forks are looked up when somebody wants to see them. */
function further(project, path) {
  const item = h("li", {}, link(project, path, ""))
  const open = button("+", async () => {
    open.remove()
    const stream = await inspect(project, path).catch(() => null)
    const children = stream?.forks ?? []
    item.append(children.length > 0
      ? h("ul", {}, ...some(project, children))
      : h("span", { class: "soft" }, stream ? " no forks" : " gone"))
  }, { class: "quiet small", "aria-label": `Forks of ${path}` })
  item.append(" ", open)
  return item
}

const link = (project, path, state) =>
  h("span", {}, h("a", { href: href("stream", project, path), title: path }, path), state ? h("span", { class: "soft" }, ` ${state}`) : null)
