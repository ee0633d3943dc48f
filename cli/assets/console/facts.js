// What is known of a stream, beside its messages.

import { cell, copier, fill, h, table, terms } from "./dom.js"
import { bytes, count, counted, kind, moment, place, position, span, unit } from "./format.js"
import { href } from "./router.js"

/**
 * @param {string | null} project
 * @param {import("./inspect.js").Stream} stream
 * @param {HTMLElement | null} tree its forks
 */
export function facts(project, stream, tree) {
  const element = h("aside", { class: "facts", "aria-label": "About the stream" })
  const end = position(stream.tail)
  const start = position(stream.earliest) ?? 0
  const of = unit(stream.contentType)
  const size = end === null ? null : kind(stream.contentType) === "json" ? counted(end - start, "message") : bytes(end - start)
  fill(element,
    terms([
      ["Holds", size],
      ["Type", stream.contentType],
      ["State", stream.closed ? "closed" : "open"],
      ["Read by", stream.public === undefined ? null : stream.public ? "everyone" : "who has a token"],
      ["Created", stream.createdAt && moment(stream.createdAt)],
      ["Lives", lifetime(stream)],
      ["Keeps", stream.retention],
      ["Starts at", start > 0 || end === null ? stream.earliest && offset(stream.earliest, "start") : null],
      ["Tail", offset(stream.tail, "tail")],
      ["Producers", stream.producers === undefined ? null : count(stream.producers)],
    ]),
    h("h3", {}, "Forks"),
    stream.forks ? tree : h("p", { class: "soft" }, "This server does not tell of forks."),
    stream.subscriptions && h("h3", {}, "Subscriptions"),
    stream.subscriptions && subscriptions(project, stream.subscriptions),
    stream.hot && h("h3", {}, "Storage"),
    stream.hot && storage(stream, of))
  return element
}

/** An offset in short, whole for those who copy it. */
const offset = (value, name) =>
  h("span", { title: value }, place(value), " ", copier(value, "Copy", { class: "quiet small", "aria-label": `Copy the offset: ${name}` }))

function lifetime({ ttl, expiresAt, endsAt }) {
  const ends = endsAt ? `, now until ${moment(endsAt)}` : ""
  if (ttl !== null && ttl !== undefined) return `${span(Number(ttl))} after its last use${ends}`
  return expiresAt ? `until ${moment(expiresAt)}` : null
}

function subscriptions(project, ids) {
  if (ids.length === 0) return h("p", { class: "soft" }, "None is about it.")
  return h("ul", { class: "plain" }, ...ids.map((id) => h("li", {}, h("a", { href: href("subscriptions", project, id) }, id))))
}

/** So many segments are listed; the newest count most. */
const LISTED = 20

function storage({ hot, segments = [], segmentCount = segments.length, databaseBytes }, of) {
  const newest = segments.slice(-LISTED).reverse()
  const rows = newest.map((one) => h("tr", {}, cell("From", place(one.from)), cell("To", place(one.to)), cell("Size", bytes(one.bytes))))
  const name = segmentCount > rows.length ? `The newest ${count(rows.length)} of ${count(segmentCount)} segments` : "Segments, newest first"
  return [
    terms([
      ["In the object", `${bytes(hot.bytes)} in ${counted(hot.rows, "row")}, from ${of} ${place(hot.from)}`],
      ["In the bucket", segmentCount === 0 ? "nothing yet" : counted(segmentCount, "segment")],
      ["Database", databaseBytes === undefined ? null : bytes(databaseBytes)],
    ]),
    rows.length > 0 && h("details", {}, h("summary", {}, name), table(name, ["From", "To", "Size"], h("tbody", {}, ...rows), { class: "" })),
  ]
}
