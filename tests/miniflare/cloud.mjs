// A Cloudflare of our own: node cloud.mjs '{"state", "token", "boots"}'.
//
// Answers the REST API as far as the program under test uses it. With `boots`, it runs what it is
// sent: uploaded modules with their bindings on workerd, over the same KV and R2 that the REST API
// reads and writes. Prints {"url", "worker"} when it answers, and ends when stdin does.
//
// Below /__fake/ a test tells it what to do: requests (what came so far), state, set, faults, tail.
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createSocket } from "node:net"
import { join } from "node:path"

const { state, token, boots } = JSON.parse(process.argv[2])
const ACCOUNT = "0123456789abcdef0123456789abcdef"
const BASE = "/client/v4"
// Half a second, which a test that starts twenty of these need not wait.
const { Miniflare } = boots ? await import("miniflare") : {}

const cloud = {
  accounts: [{ id: ACCOUNT, name: "Test account" }],
  subdomain: "fakecloud",
  buckets: [],
  namespaces: [],
  scripts: {},
  uploads: 0,
}
const requests = []
let faults = []
const tails = new Map()

class Refusal extends Error {
  constructor(status, code, message) {
    super(message)
    Object.assign(this, { status, code })
  }
}

// What is bound, and where it runs.

// Holds every bucket and namespace, and reads and writes them for the REST API: miniflare's own
// proxies of them do not always outlive a change of its options. Where no worker is served, it is
// what a visitor meets.
const keeper = `export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    if (url.hostname !== "keeper") return new Response("There is nothing here yet", { status: 404 })
    const [store, verb, key] = url.pathname.slice(1).split("/").map(decodeURIComponent)
    if (verb === "put") await env[store].put(key, await request.arrayBuffer())
    if (verb === "delete") await env[store].delete(key)
    if (verb === "list") return Response.json(await env[store].list(await request.json()))
    if (verb !== "get") return new Response()
    const value = await env[store].get(key, "arrayBuffer")
    return new Response(value, { status: value === null ? 404 : 200 })
  },
}`
const port = await freePort()
let miniflare

function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

/** The options of a deployed worker, from nothing but what was uploaded. */
function worker(name, { metadata, folder, modules, classes, secrets }) {
  const options = {
    name,
    compatibilityDate: metadata.compatibility_date,
    compatibilityFlags: metadata.compatibility_flags,
    modulesRoot: folder,
    modules: modules.map((module) => ({
      type: module.type === "application/wasm" ? "CompiledWasm" : "ESModule",
      path: join(folder, module.name),
    })),
    bindings: { ...secrets },
    durableObjects: {},
    r2Buckets: {},
    kvNamespaces: {},
    analyticsEngineDatasets: {},
  }
  for (const binding of metadata.bindings) {
    const { name } = binding
    if (binding.type === "plain_text") options.bindings[name] = binding.text
    if (binding.type === "json") options.bindings[name] = binding.json
    if (binding.type === "kv_namespace") options.kvNamespaces[name] = binding.namespace_id
    if (binding.type === "r2_bucket") options.r2Buckets[name] = binding.bucket_name
    if (binding.type === "analytics_engine")
      options.analyticsEngineDatasets[name] = { dataset: binding.dataset }
    if (binding.type === "durable_object_namespace") {
      const className = binding.class_name
      options.durableObjects[name] = { className, useSQLite: classes[className] === "sqlite" }
    }
  }
  return options
}

/** Runs what is deployed and served now. */
async function run(scripts) {
  if (!boots) return
  const names = (list, key) => Object.fromEntries(list.map((one) => [one[key], one[key]]))
  const options = {
    workers: [
      ...Object.entries(scripts)
        .filter(([, script]) => script.enabled)
        .map(([name, script]) => worker(name, script)),
      {
        name: "keeper",
        modules: true,
        script: keeper,
        compatibilityDate: "2026-04-01",
        kvNamespaces: names(cloud.namespaces, "id"),
        r2Buckets: names(cloud.buckets, "name"),
      },
    ],
    defaultPersistRoot: join(state, "storage"),
    cf: false,
    host: "127.0.0.1",
    port,
  }
  if (miniflare) await miniflare.setOptions(options)
  else miniflare = new Miniflare(options)
  await miniflare.ready
}

const memory = new Map()

/** A bucket, by its name, or a KV namespace, by its id. Nothing runs without workerd. */
async function storage(name) {
  if (!boots) return inMemory(name)
  const fetcher = await miniflare.getWorker("keeper")
  const ask = async (verb, key, body) => {
    const url = `http://keeper/${encodeURIComponent(name)}/${verb}/${encodeURIComponent(key)}`
    const answer = await fetcher.fetch(url, { method: "POST", body })
    if (!answer.ok && answer.status !== 404) throw new Error(await answer.text())
    return answer
  }
  return {
    put: (key, value) => ask("put", key, value),
    delete: (key) => ask("delete", key),
    list: async (options = {}) => (await ask("list", "", JSON.stringify(options))).json(),
    get: async (key) => {
      const answer = await ask("get", key)
      return answer.ok ? answer.arrayBuffer() : null
    },
  }
}

function inMemory(name) {
  if (!memory.has(name)) memory.set(name, new Map())
  const map = memory.get(name)
  return {
    put: (key, value) => map.set(key, value),
    get: (key) => map.get(key) ?? null,
    delete: (key) => map.delete(key),
    list: ({ prefix = "", limit = 1000 } = {}) => {
      const keys = [...map.keys()].filter((key) => key.startsWith(prefix)).slice(0, limit)
      const objects = keys.map((key) => ({ key }))
      return { keys: keys.map((name) => ({ name })), objects, list_complete: true }
    },
  }
}

// The API.

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex")
const now = () => new Date().toISOString()
const find = (list, key, value) => list.find((one) => one[key] === value)

function script(name) {
  const found = cloud.scripts[name]
  if (!found) throw new Refusal(404, 10007, "This Worker does not exist on your account.")
  return found
}

/** A bucket of this name in a jurisdiction, where alone it can be found. */
function findBucket(name, jurisdiction) {
  return cloud.buckets.find((one) => one.name === name && one.jurisdiction === jurisdiction)
}

function bucket(name, jurisdiction) {
  const found = findBucket(name, jurisdiction)
  if (!found) throw new Refusal(404, 10006, "The specified bucket does not exist.")
  return found
}

function namespace(id) {
  const found = find(cloud.namespaces, "id", id)
  if (!found) throw new Refusal(404, 10013, "namespace not found")
  return found
}

/** Carries out migrations on the classes there are. */
function migrate(before, migrations) {
  const classes = { ...before?.classes }
  if (!migrations) return { tag: before?.tag, classes }
  if (migrations.old_tag !== before?.tag)
    throw new Refusal(412, 10079, "Migration tag precondition failed")
  for (const step of migrations.steps) {
    const make = (names, kind) => {
      for (const name of names ?? []) {
        if (classes[name]) throw new Refusal(400, 10074, `Class ${name} exists already`)
        classes[name] = kind
      }
    }
    make(step.new_classes, "kv")
    make(step.new_sqlite_classes, "sqlite")
    for (const name of step.deleted_classes ?? []) delete classes[name]
    for (const { from, to } of step.renamed_classes ?? []) {
      classes[to] = classes[from]
      delete classes[from]
    }
  }
  return { tag: migrations.new_tag, classes }
}

function checkBindings(name, metadata, classes) {
  for (const binding of metadata.bindings) {
    if (binding.type === "kv_namespace" && !find(cloud.namespaces, "id", binding.namespace_id))
      throw new Refusal(400, 10041, `KV namespace ${binding.namespace_id} not found`)
    if (binding.type === "r2_bucket" && !findBucket(binding.bucket_name, binding.jurisdiction))
      throw new Refusal(400, 10085, `R2 bucket ${binding.bucket_name} not found`)
    if (binding.type === "durable_object_namespace" && !classes[binding.class_name])
      throw new Refusal(400, 10061, `${name} has no Durable Object class ${binding.class_name}`)
  }
}

async function upload(name, body) {
  if (!cloud.subdomain)
    throw new Refusal(403, 10063, "You need a workers.dev subdomain in order to proceed.")
  const before = cloud.scripts[name]
  const { metadata } = body
  const { tag, classes } = migrate(before, metadata.migrations)
  checkBindings(name, metadata, classes)
  const etag = sha256(Buffer.concat(body.modules.map((module) => module.bytes)))
  const folder = join(state, "scripts", name, etag)
  mkdirSync(folder, { recursive: true })
  for (const module of body.modules) writeFileSync(join(folder, module.name), module.bytes)
  const keeps = metadata.keep_bindings?.includes("secret_text")
  const after = {
    metadata,
    folder,
    modules: body.modules.map(({ name, type }) => ({ name, type })),
    tag,
    classes,
    etag,
    secrets: keeps ? (before?.secrets ?? {}) : {},
    enabled: before?.enabled ?? false,
    previews: before?.previews ?? false,
    created: before?.created ?? now(),
    modified: now(),
  }
  // Whoever cannot be started is not deployed, and the old version goes on serving.
  try {
    await run({ ...cloud.scripts, [name]: { ...after, enabled: true } })
    await run({ ...cloud.scripts, [name]: after })
  } catch (error) {
    await run(cloud.scripts)
    throw new Refusal(400, 10021, error.message)
  }
  cloud.scripts[name] = after
  cloud.uploads += 1
  return describe(name)
}

function describe(name) {
  const { etag, tag, created, modified } = script(name)
  return {
    id: name,
    etag,
    migration_tag: tag,
    handlers: ["fetch"],
    created_on: created,
    modified_on: modified,
  }
}

function settings(name) {
  const { metadata, secrets, tag } = script(name)
  const named = Object.keys(secrets).map((name) => ({ name, type: "secret_text" }))
  const bindings = metadata.bindings.map((binding) =>
    binding.type === "durable_object_namespace"
      ? { ...binding, namespace_id: sha256(binding.class_name).slice(0, 32) }
      : binding,
  )
  return {
    bindings: [...bindings, ...named],
    compatibility_date: metadata.compatibility_date,
    compatibility_flags: metadata.compatibility_flags,
    observability: metadata.observability,
    migration_tag: tag,
  }
}

async function remove(name) {
  const { classes } = script(name)
  delete cloud.scripts[name]
  await run(cloud.scripts)
  for (const className of Object.keys(classes))
    rmSync(join(state, "storage/do", `${name}-${className}`), { recursive: true, force: true })
}

/** A route for a method and a path below the account, whose `:x` are arguments. */
const routes = [
  ["GET", "/r2/buckets", () => ({ buckets: cloud.buckets })],
  ["GET", "/r2/buckets/:b", (b, { jurisdiction }) => bucket(b, jurisdiction)],
  [
    "POST",
    "/r2/buckets",
    async ({ body, jurisdiction }) => {
      if (findBucket(body.name, jurisdiction))
        throw new Refusal(409, 10004, "The bucket you tried to create already exists, and you own it.")
      const location = body.locationHint?.toUpperCase() ?? "WNAM"
      const made = { name: body.name, creation_date: now(), location, jurisdiction }
      cloud.buckets.push(made)
      await run(cloud.scripts)
      return made
    },
  ],
  [
    "DELETE",
    "/r2/buckets/:b",
    async (b, { jurisdiction }) => {
      const found = bucket(b, jurisdiction)
      const { objects } = await (await storage(found.name)).list({ limit: 1 })
      if (objects.length > 0) throw new Refusal(409, 10008, "The bucket is not empty.")
      cloud.buckets = cloud.buckets.filter((one) => one !== found)
      await run(cloud.scripts)
      return {}
    },
  ],
  [
    "GET",
    "/r2/buckets/:b/objects",
    async (b, { query, jurisdiction }) => {
      const store = await storage(bucket(b, jurisdiction).name)
      const { objects } = await store.list({ limit: Number(query.per_page) })
      return objects.map(({ key }) => ({ key }))
    },
  ],
  [
    "DELETE",
    "/r2/buckets/:b/objects/:k",
    async (b, k, { jurisdiction }) => {
      await (await storage(bucket(b, jurisdiction).name)).delete(k)
      return { key: k }
    },
  ],
  [
    "GET",
    "/storage/kv/namespaces",
    ({ query, page }) => {
      const size = Number(query.per_page)
      const number = Number(query.page ?? 1)
      const sorted = [...cloud.namespaces].sort((a, b) => (a.title < b.title ? -1 : 1))
      page.total_pages = Math.ceil(sorted.length / size)
      return sorted.slice((number - 1) * size, number * size)
    },
  ],
  [
    "POST",
    "/storage/kv/namespaces",
    async ({ body }) => {
      if (find(cloud.namespaces, "title", body.title))
        throw new Refusal(
          400,
          10014,
          "a namespace with this account ID and title already exists",
        )
      const made = { id: randomBytes(16).toString("hex"), title: body.title }
      cloud.namespaces.push(made)
      await run(cloud.scripts)
      return made
    },
  ],
  [
    "DELETE",
    "/storage/kv/namespaces/:n",
    async (n) => {
      const store = await storage(namespace(n).id)
      for (const { name } of (await store.list()).keys) await store.delete(name)
      cloud.namespaces = cloud.namespaces.filter((one) => one.id !== n)
      await run(cloud.scripts)
      return null
    },
  ],
  [
    "GET",
    "/storage/kv/namespaces/:n/keys",
    async (n, { query, page }) => {
      const options = { prefix: query.prefix, cursor: query.cursor || undefined }
      const found = await (await storage(namespace(n).id)).list(options)
      page.cursor = found.list_complete ? "" : found.cursor
      return found.keys.map(({ name }) => ({ name }))
    },
  ],
  [
    "GET",
    "/storage/kv/namespaces/:n/values/:k",
    async (n, k, { raw }) => {
      const value = await (await storage(namespace(n).id)).get(k)
      if (value === null) throw new Refusal(404, 10009, "key not found")
      raw.body = Buffer.from(value)
    },
  ],
  [
    "PUT",
    "/storage/kv/namespaces/:n/values/:k",
    async (n, k, { bytes }) => {
      await (await storage(namespace(n).id)).put(k, bytes)
      return null
    },
  ],
  [
    "DELETE",
    "/storage/kv/namespaces/:n/values/:k",
    async (n, k) => {
      await (await storage(namespace(n).id)).delete(k)
      return null
    },
  ],
  ["GET", "/workers/scripts", () => Object.keys(cloud.scripts).map(describe)],
  ["GET", "/workers/scripts/:s/settings", (s) => settings(s)],
  ["PUT", "/workers/scripts/:s", (s, { body }) => upload(s, body)],
  [
    "PUT",
    "/workers/scripts/:s/secrets",
    async (s, { body }) => {
      script(s).secrets[body.name] = body.text
      await run(cloud.scripts)
      return { name: body.name, type: body.type }
    },
  ],
  [
    "DELETE",
    "/workers/services/:s",
    async (s) => {
      await remove(s)
      return null
    },
  ],
  [
    "GET",
    "/workers/subdomain",
    () => {
      if (!cloud.subdomain) throw new Refusal(404, 10007, "No workers.dev subdomain.")
      return { subdomain: cloud.subdomain }
    },
  ],
  [
    "GET",
    "/workers/scripts/:s/subdomain",
    (s) => ({ enabled: script(s).enabled, previews_enabled: script(s).previews }),
  ],
  [
    "POST",
    "/workers/scripts/:s/subdomain",
    async (s, { body }) => {
      const found = script(s)
      found.enabled = body.enabled
      found.previews = body.previews_enabled ?? body.enabled
      await run(cloud.scripts)
      return { enabled: found.enabled, previews_enabled: found.previews }
    },
  ],
  ["PUT", "/workers/scripts/:s/routes", (s, { body }) => (script(s).routes = body)],
  ["PUT", "/workers/scripts/:s/domains/records", (s, { body }) => (script(s).domains = body)],
  [
    "POST",
    "/workers/scripts/:s/tails",
    (s, { host }) => {
      script(s)
      const id = randomBytes(16).toString("hex")
      tails.set(id, new Set())
      return { id, url: `ws://${host}/__fake/tails/${id}`, expires_at: now() }
    },
  ],
  ["DELETE", "/workers/scripts/:s/tails/:t", (s, t) => tails.delete(t) && null],
]

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
  if (request.path === `${BASE}/accounts`) {
    const number = Number(request.query.page ?? 1)
    request.page.total_pages = cloud.accounts.length
    return cloud.accounts.slice(number - 1, number)
  }
  const prefix = `${BASE}/accounts/${ACCOUNT}`
  for (const [method, pattern, handle] of routes) {
    const values = match(pattern, request.path.replace(prefix, ""))
    if (values && method === request.method && request.path.startsWith(prefix))
      return await handle(...values, request)
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
  if (request.raw.body && status === 200) return response.end(request.raw.body)
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
  if (verb === "tail") result = tell(said)
  if (verb === "object") await inTurn(async () => (await storage(said.bucket)).put(said.key, said.text))
  response.end(JSON.stringify(result))
}

/** Sends an event to everyone who watches; says how many that are. */
function tell(event) {
  const sockets = [...tails.values()].flatMap((sockets) => [...sockets])
  const text = Buffer.from(JSON.stringify(event))
  const head = Buffer.from([0x81, 126, text.length >> 8, text.length & 255])
  for (const socket of sockets) socket.write(Buffer.concat([head, text]))
  return sockets.length
}

function watch(request, socket) {
  const sockets = tails.get(request.url.split("/").pop())
  const key = request.headers["sec-websocket-key"]
  if (!sockets || request.headers["sec-websocket-protocol"] !== "trace-v1") return socket.destroy()
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Protocol: trace-v1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  sockets.add(socket)
  socket.on("close", () => sockets.delete(socket)).on("error", () => {})
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
server.on("upgrade", watch)

await run(cloud.scripts)
server.listen(0, "127.0.0.1", () => {
  const origin = `http://127.0.0.1:${server.address().port}`
  const worker = boots ? `http://127.0.0.1:${port}` : `${origin}/deployed`
  console.log(JSON.stringify({ url: origin, worker }))
})
process.stdin.resume().on("end", async () => {
  await miniflare?.dispose()
  process.exit(0)
})
