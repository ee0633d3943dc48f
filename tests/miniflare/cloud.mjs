// A Cloudflare of our own: node cloud.mjs '{"state", "token", "boots"}'.
//
// Answers the REST API as far as the program under test uses it. With `boots`, it runs what it is
// sent: uploaded modules with their bindings on workerd, over the same KV and R2 that the REST API
// reads and writes. Prints {"url", "worker"} when it answers, and ends when stdin does.
//
// `cloud/` has a file for each part of the API. Below /__fake/ a test tells it what to do: requests
// (what came so far), state, set, faults, tail.
import { createServer } from "node:http"
import * as analytics from "./cloud/analytics.mjs"
import * as kv from "./cloud/kv.mjs"
import * as r2 from "./cloud/r2.mjs"
import * as scripts from "./cloud/scripts.mjs"
import * as secrets from "./cloud/secrets.mjs"
import { ACCOUNT, BASE, Refusal, boots, cloud, requests, token } from "./cloud/state.mjs"
import * as tails from "./cloud/tails.mjs"
import * as user from "./cloud/user.mjs"
import * as versions from "./cloud/versions.mjs"
import { dispose, port, run, storage } from "./cloud/workerd.mjs"

/** Answers for a method and a path below the account or the base, whose `:x` are arguments. */
const offered = [r2, kv, scripts, secrets, tails, versions, user, analytics]
const routes = offered.flatMap((part) => part.routes)
let faults = []

function match(pattern, path) {
  const [wanted, found] = [pattern.split("/"), path.split("/")]
  if (wanted.length !== found.length) return undefined
  const values = []
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(":")) values.push(decodeURIComponent(found[index]))
    else if (part !== found[index]) return undefined
  }
  return values
}

async function answer(request) {
  if (request.headers.authorization !== `Bearer ${token}`)
    throw new Refusal(403, 10000, `Authentication error for ${request.headers.authorization}`)
  const prefix = `${BASE}/accounts/${ACCOUNT}`
  const below = request.path.startsWith(prefix) ? prefix : BASE
  for (const [method, pattern, handle] of routes) {
    const values = match(pattern, request.path.slice(below.length))
    if (values && method === request.method) return await handle(...values, request)
  }
  throw new Refusal(404, 7003, `Could not route to ${request.path}`)
}

/** The parts of a multipart body, as a list for the log and by their roles. */
async function parts(headers, bytes) {
  const form = await new Response(bytes, {
    headers: { "content-type": headers["content-type"] },
  }).formData()
  const modules = []
  const log = []
  let metadata
  for (const [name, part] of form) {
    if (typeof part === "string") {
      metadata = JSON.parse(part)
      log.push({ name, json: metadata })
    } else {
      modules.push({
        name: part.name,
        type: part.type,
        bytes: Buffer.from(await part.arrayBuffer()),
      })
      log.push({ name, filename: part.name, contentType: part.type })
    }
  }
  return { metadata, modules, log }
}

async function body(headers, bytes) {
  const type = headers["content-type"] ?? ""
  if (type.startsWith("multipart/")) return parts(headers, bytes)
  if (type.startsWith("application/json")) return JSON.parse(bytes.toString())
  return undefined
}

// One request after the other, as far as they change something.
let last = Promise.resolve()
const inTurn = (work) => {
  const result = last.then(work)
  last = result.catch(() => {})
  return result
}

/** The first fault that is meant for this request. */
function faultFor(request) {
  const index = requests.length - 1
  const fault = faults.find(
    (fault) =>
      fault.times !== 0 &&
      (fault.at === undefined || fault.at === index) &&
      (fault.method === undefined || fault.method === request.method) &&
      (fault.path === undefined || new RegExp(fault.path).test(request.path)),
  )
  if (fault?.times) fault.times -= 1
  return fault
}

async function api(request, response) {
  requests.push({
    method: request.method,
    path: request.path,
    query: request.query,
    contentType: request.headers["content-type"]?.split(";")[0],
    jurisdiction: request.jurisdiction,
    body: request.body?.log ? { multipart: request.body.log } : request.body,
  })
  const fault = faultFor(request)
  // `after`: the effect happens, and only its answer is lost.
  if (fault && !fault.after) return spoil(fault, response)
  let status = 200
  let document = { success: true, errors: [], messages: [], result: null }
  try {
    document.result = await inTurn(() => answer(request))
    if (Object.keys(request.page).length > 0) document.result_info = request.page
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error)
    status = error.status ?? 500
    document.success = false
    document.errors = [{ code: error instanceof Refusal ? error.code : 10013, message: error.message }]
  }
  if (fault) return spoil(fault, response)
  if (request.raw.body && status === 200) {
    response.statusCode = request.raw.status ?? 200
    return response.end(request.raw.body)
  }
  response.writeHead(status, { "content-type": "application/json" })
  response.end(JSON.stringify(document))
}

function spoil(fault, response) {
  if (fault.hang) return
  if (fault.cut) return response.socket.destroy()
  response.writeHead(fault.status ?? 200, {
    "content-type": "application/json",
    ...fault.headers,
  })
  const text = fault.text ?? JSON.stringify({
    success: false,
    errors: fault.errors ?? [],
    messages: [],
    result: null,
  })
  response.end(text)
}

// What a test says.

async function control(request, response) {
  const verb = request.path.split("/")[2]
  const said = request.bytes.length > 0 ? JSON.parse(request.bytes.toString()) : undefined
  let result = null
  if (verb === "requests") result = requests
  if (verb === "state") result = cloud
  if (verb === "set") Object.assign(cloud, said)
  if (verb === "forget") requests.length = 0
  if (verb === "faults") faults = said
  if (verb === "tail") result = tails.tell(said)
  if (verb === "object") await inTurn(async () => (await storage(said.bucket)).put(said.key, said.text))
  response.end(JSON.stringify(result))
}

/** In place of a worker when nothing runs. */
function pretend(response) {
  const served = Object.values(cloud.scripts).some((script) => script.enabled)
  if (served) response.setHeader("cross-origin-resource-policy", "cross-origin")
  response.writeHead(404).end()
}

const server = createServer(async (incoming, response) => {
  const url = new URL(incoming.url, "http://fake")
  const chunks = []
  for await (const chunk of incoming) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const request = {
    method: incoming.method,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: incoming.headers,
    jurisdiction: incoming.headers["cf-r2-jurisdiction"],
    host: incoming.headers.host,
    bytes,
    page: {},
    raw: {},
  }
  if (request.path.startsWith("/__fake/")) return control(request, response)
  if (request.path.startsWith("/deployed")) return pretend(response)
  request.body = await body(incoming.headers, bytes)
  await api(request, response)
})
server.on("upgrade", tails.watch)

await run(cloud.scripts)
server.listen(0, "127.0.0.1", () => {
  const origin = `http://127.0.0.1:${server.address().port}`
  const worker = boots ? `http://127.0.0.1:${port}` : `${origin}/deployed`
  console.log(JSON.stringify({ url: origin, worker }))
})
process.stdin.resume().on("end", async () => {
  await dispose()
  process.exit(0)
})
