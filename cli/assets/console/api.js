// What the page asks: the program's own questions, and streams through it. Each request is noted with what
// it cost; no request says who asks, which is the program's business.

/**
 * A request that was made.
 * @typedef {object} Request
 * @property {number} id
 * @property {number} at when, in milliseconds since 1970
 * @property {string} method
 * @property {string} path without the query
 * @property {number} status 0 where nobody answered
 * @property {number} millis until the answer began
 * @property {Cost} cost
 */

/**
 * What an answer says that it took: milliseconds, and rows. Where a server does not say, fields are absent.
 * @typedef {{ edge?: number, object?: number, sql?: number, rowsRead?: number, rowsWritten?: number }} Cost
 */

/** So many requests are remembered. */
const REMEMBERED = 300

/** The requests, newest last; it tells of each by an event `made`. */
export const requests = Object.assign(new EventTarget(), {
  /** @type {Request[]} */
  made: [],
  total: { requests: 0, rowsRead: 0, rowsWritten: 0 },
})

/** An answer that is no success. */
export class Refused extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {Response} [answer] */
  constructor(status, code, message, answer) {
    super(message)
    this.status = status
    this.code = code
    this.answer = answer
  }
}

/**
 * Asks, and gives the answer if it is a success.
 * @param {string} method
 * @param {string} url from this page's origin
 * @param {{ headers?: Record<string, string>, body?: BodyInit, signal?: AbortSignal, isQuiet?: boolean }} [more]
 *   `isQuiet` is for what is asked again and again: it is noted nowhere.
 * @returns {Promise<Response>}
 */
export async function ask(method, url, { headers = {}, body, signal, isQuiet = false } = {}) {
  const started = performance.now()
  let answer
  try {
    const sent = { method, body, signal, headers: { "X-Console": "1", ...headers }, redirect: "error", cache: "no-store" }
    answer = await fetch(url, sent)
  } catch (error) {
    if (signal?.aborted) throw error
    if (!isQuiet) note(method, url, 0, started, "")
    throw new Refused(0, "no_answer", "The console does not answer. Is the program still running?")
  }
  if (!isQuiet) note(method, url, answer.status, started, answer.headers.get("Server-Timing") ?? "")
  if (!answer.ok) throw await refusal(answer, method)
  return answer
}

/** Asks for JSON, and may send some. */
export async function askJson(method, url, value, more = {}) {
  const body = value === undefined ? undefined : JSON.stringify(value)
  const headers = body === undefined ? {} : { "Content-Type": "application/json" }
  const answer = await ask(method, url, { ...more, headers: { ...headers, ...more.headers }, body })
  return answer.status === 204 ? null : answer.json()
}

async function refusal(answer, method) {
  const text = method === "HEAD" ? "" : await answer.text().catch(() => "")
  let said
  try {
    said = JSON.parse(text).error
  } catch {
    said = undefined
  }
  const message = said?.message ?? (text.slice(0, 300) || `The answer is ${answer.status} ${answer.statusText}`.trim())
  return new Refused(answer.status, said?.code ?? "", message, answer)
}

function note(method, url, status, started, timing) {
  const { made, total } = requests
  const cost = costOf(timing)
  const id = (made.at(-1)?.id ?? 0) + 1
  const path = decoded(url.split("?")[0])
  made.push({ id, at: Date.now(), method, path, status, millis: performance.now() - started, cost })
  if (made.length > REMEMBERED) made.shift()
  total.requests += 1
  total.rowsRead += cost.rowsRead ?? 0
  total.rowsWritten += cost.rowsWritten ?? 0
  requests.dispatchEvent(new Event("made"))
}

const TIMES = { edge: "edge", object: "object", sql: "sql", rows_read: "rowsRead", rows_written: "rowsWritten" }

/** Reads `Server-Timing`. */
export function costOf(header) {
  /** @type {Cost} */
  const cost = {}
  for (const part of header.split(",")) {
    const [name, ...parameters] = part.trim().split(";")
    const key = TIMES[name]
    const value = parameters.map((one) => one.trim()).find((one) => /^(dur|desc)=/.test(one))
    const number = Number(value?.replace(/^\w+=/, "").replaceAll('"', ""))
    if (key && value && Number.isFinite(number)) cost[key] = number
  }
  return cost
}

const decoded = (path) => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** A path in a URL; slashes stay. */
export const encoded = (path) => path.split("/").map(encodeURIComponent).join("/")

const STREAMS = "/v1/stream"

/** The URL of a stream, by its whole path, the project first where there are projects. */
export const streamUrl = (path) => `${STREAMS}/${encoded(path)}`

/** The URL of what is below the reserved segment of a root: of a project, or of all streams. */
export const controlUrl = (project, rest) => `${STREAMS}/${project === null ? "" : `${encoded(project)}/`}__ds/${rest}`

/** A path below its root, and the other way about. */
export const below = (project, path) => (project === null ? path : path.slice(project.length + 1))
export const whole = (project, path) => (project === null ? path : `${project}/${path}`)

/** Does something with each, so many at a time. */
export async function each(values, width, work) {
  const rest = values.entries()
  const worker = async () => {
    for (const [at, value] of rest) await work(value, at)
  }
  await Promise.all(Array.from({ length: Math.min(width, values.length) }, worker))
}
