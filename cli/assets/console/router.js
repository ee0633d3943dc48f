// What the address says is shown: `#/stream/<path>`, `#/streams/<prefix>`, `#/subscriptions/<root>/<id>`,
// `#/projects`, `#/requests`, `#/usage`. Where the server has projects, paths begin with one.

/**
 * @typedef {object} Route
 * @property {"streams" | "stream" | "subscriptions" | "projects" | "requests" | "usage"} view
 * @property {string | null} project whose streams are meant; null where there are no projects
 * @property {string} path below the root: of a stream, a prefix, or the id of a subscription
 */

const VIEWS = ["streams", "stream", "subscriptions", "projects", "requests", "usage"]

/**
 * @param {string} hash as in `location.hash`
 * @param {string | null} project the one that is chosen at first
 * @returns {Route}
 */
export function parse(hash, project) {
  const [view, ...segments] = hash.replace(/^#?\/?/, "").split("/").map(decoded)
  if (!VIEWS.includes(view)) return { view: "streams", project, path: "" }
  const named = project === null ? null : segments.shift() || project
  return { view, project: named, path: segments.join("/") }
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** The address of a view. An id is one segment, whatever is in it; slashes of paths stay. */
export function href(view, project, path = "") {
  const rest = view === "subscriptions" ? [path] : path.split("/")
  const parts = project === null ? rest : [project, ...rest]
  return `#/${view}/${parts.map(encodeURIComponent).join("/")}`
}

/** Goes there; the way back leads to where one was. */
export function go(view, project, path) {
  location.hash = href(view, project, path)
}
