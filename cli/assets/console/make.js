// Streams that are made, forked, closed and taken away.

import { ask, encoded, streamUrl, whole } from "./api.js"
import { confirm, form } from "./dialogs.js"
import { announce, field, h, select, VERBATIM } from "./dom.js"
import { counted, kind, offsetAt, position, unit } from "./format.js"
import { go } from "./router.js"

const name = (attributes) => h("input", { name: "path", ...VERBATIM, ...attributes })

const TYPES = [["application/json", "JSON"], ["text/plain", "Text"], ["application/octet-stream", "Bytes"], ["", "Another …"]]

/** Makes a stream below a root, whose name may begin with a prefix. */
export function create(project, prefix, onmade) {
  const type = select(TYPES, "application/json", { name: "type" })
  const other = h("input", { name: "other", placeholder: "image/png", "aria-label": "Content type", hidden: true })
  type.addEventListener("change", () => (other.hidden = type.value !== ""))
  const lives = select([["", "Until it is deleted"], ["Stream-TTL", "So many seconds after its last use"], ["Stream-Expires-At", "Until a moment"]], "", { name: "lives" })
  const until = h("input", { name: "until", hidden: true, "aria-label": "How long, or until when" })
  lives.addEventListener("change", () => {
    until.hidden = lives.value === ""
    until.type = lives.value === "Stream-TTL" ? "number" : "datetime-local"
    until.value = lives.value === "Stream-TTL" ? "3600" : ""
  })
  const retention = h("input", { name: "retention", placeholder: "messages=1000", autocomplete: "off" })
  const path = name({ value: prefix, placeholder: "chat/42", autofocus: true, required: true })
  form({
    title: "New stream",
    content: [
      field("Path", path, project === null ? null : `In the project ${project}`),
      field("It holds", type), other,
      field("It lives", lives), until,
      field("It keeps", retention, "All, or messages=… for JSON, bytes=… for anything else"),
    ],
    does: "Create",
    async work() {
      const headers = { "Content-Type": type.value || other.value.trim() || "application/octet-stream" }
      if (lives.value) headers[lives.value] = moment(lives.value, until.value)
      if (retention.value.trim()) headers["Stream-Retention"] = retention.value.trim()
      await made(project, path.value.trim(), headers)
      onmade()
    },
  })
  path.setSelectionRange(path.value.length, path.value.length)
}

function moment(header, value) {
  if (value === "") throw new Error("Say how long it lives")
  if (header === "Stream-TTL") return value
  return new Date(value).toISOString().replace(/\.\d+Z$/, "Z")
}

async function made(project, path, headers) {
  if (path === "") throw new Error("Give it a path")
  const answer = await ask("PUT", streamUrl(whole(project, path)), { headers })
  // Who asks for what is there already is told so, and changes nothing.
  announce(answer.status === 201 ? `Created ${path}` : `${path} is there already`)
  go("stream", project, path)
}

/** Forks a stream: what is made has all that was there up to a place, and goes its own way. */
export function fork(project, source, stream) {
  const tail = position(stream.tail)
  const path = name({ value: `${source}-fork`, autofocus: true, required: true })
  const most = tail === null ? {} : { max: tail, min: position(stream.earliest) ?? 0 }
  const at = h("input", { name: "at", type: "number", ...most, placeholder: tail === null ? "" : String(tail) })
  form({
    title: `Fork ${source}`,
    content: [
      field("Path of the fork", path),
      tail === null ? "" : field(`With the first … ${unit(stream.contentType)}s`, at, `All ${counted(tail, unit(stream.contentType))}, unless you say fewer`),
    ],
    does: "Fork",
    async work() {
      const headers = { "Stream-Forked-From": `/v1/stream/${encoded(whole(project, source))}` }
      if (at.value !== "") headers["Stream-Fork-Offset"] = offsetAt(Number(at.value))
      await made(project, path.value.trim(), headers)
    },
  })
  path.select()
}

/** Closes a stream for good. */
export function close(project, path, onclosed) {
  form({
    title: `Close ${path}`,
    content: [h("p", {}, "Nothing can be appended to a closed stream, and it cannot be opened again. It can still be read.")],
    does: "Close the stream",
    isGrave: true,
    async work() {
      await ask("POST", streamUrl(whole(project, path)), { headers: { "Stream-Closed": "true" } })
      onclosed()
    },
  })
}

/** Takes a stream away, once its path was typed. */
export function remove(project, path, stream, ongone) {
  const holds = position(stream.tail)
  const much = holds === null || kind(stream.contentType) !== "json" ? "all that it holds" : counted(holds, "message")
  confirm({
    title: `Delete ${path}`,
    name: path,
    text: `The stream goes with ${much}, for good.`,
    does: "Delete the stream",
    async work() {
      await ask("DELETE", streamUrl(whole(project, path)))
      announce(`Deleted ${path}`)
      ongone()
    },
  })
}
