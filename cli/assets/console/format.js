// Numbers, sizes, times and offsets as people read them.

const numbers = new Intl.NumberFormat("en")

/** 12,345 */
export const count = (value) => numbers.format(value)

/** 1 message, 2 messages */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`

const UNITS = ["B", "kB", "MB", "GB", "TB"]

/** 0 B, 12.3 kB: decimal units. */
export function bytes(value) {
  let unit = 0
  for (; value >= 1000 && unit < UNITS.length - 1; unit += 1) value /= 1000
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

/** 340 ms, 2.1 s */
export const millis = (value) => (value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`)

/** 14:02:09.123 */
export function clock(time) {
  const date = new Date(time)
  const two = (value) => String(value).padStart(2, "0")
  const seconds = `${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`
  return `${two(date.getHours())}:${two(date.getMinutes())}:${seconds}`
}

const LONG = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" })

/** A moment, by the clock of whoever looks. */
export function moment(time) {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : LONG.format(date)
}

const SPANS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]

/** 1 d 2 h: the two largest parts of so many seconds. */
export function span(seconds) {
  const parts = []
  for (const [name, length] of SPANS) {
    const whole = Math.floor(seconds / length)
    seconds -= whole * length
    if (whole > 0) parts.push(`${whole} ${name}`)
  }
  return parts.slice(0, 2).join(" ") || "0 s"
}

const OFFSET = /^0{16}_(\d{16})(_0{4})?$/

/**
 * How far into a stream an offset is, in messages or bytes; null where the server's offsets tell nothing.
 * @param {string | null | undefined} offset
 * @returns {number | null}
 */
export function position(offset) {
  const found = OFFSET.exec(offset ?? "")
  return found ? Number(found[1]) : null
}

/** The offset at a position, as a server gives it whose offsets have one. */
export const offsetAt = (value) => `${"0".repeat(16)}_${String(Math.max(0, value)).padStart(16, "0")}_0000`

/** An offset in short. */
export function place(offset) {
  const at = position(offset)
  return at === null ? String(offset) : count(at)
}

/** What a stream holds: JSON, text or bytes. */
export function kind(contentType) {
  const type = (contentType ?? "").split(";")[0].trim().toLowerCase()
  if (type === "application/json") return "json"
  return type.startsWith("text/") ? "text" : "bytes"
}

/** Their names. */
export const KINDS = { json: "JSON", text: "text", bytes: "bytes" }

/** Its unit. */
export const unit = (contentType) => (kind(contentType) === "json" ? "message" : "byte")
