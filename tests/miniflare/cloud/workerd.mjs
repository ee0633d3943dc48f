// What is bound, and where it runs.
import { createServer as createSocket } from "node:net"
import { join } from "node:path"
import { boots, cloud, state } from "./state.mjs"

// Half a second, which a test that starts twenty of these need not wait.
const { Miniflare } = boots ? await import("miniflare") : {}

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
export const port = await freePort()
let miniflare

/** Ends what runs. */
export async function dispose() {
  await miniflare?.dispose()
}

function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

/** The options of a deployed worker, from nothing but what was uploaded. */
function worker(name, { metadata, folder, modules, secrets }, scripts) {
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
      const { class_name: className, script_name: scriptName } = binding
      const { classes, keys } = scripts[scriptName ?? options.name]
      const useSQLite = classes[className] === "sqlite"
      const unsafeUniqueKey = keys[className]
      options.durableObjects[name] = { className, scriptName, useSQLite, unsafeUniqueKey }
    }
  }
  return options
}

/** Runs what is deployed and served now. */
export async function run(scripts) {
  if (!boots) return
  const names = (list, key) => Object.fromEntries(list.map((one) => [one[key], one[key]]))
  const options = {
    workers: [
      ...Object.entries(scripts)
        .filter(([, script]) => script.enabled)
        .map(([name, script]) => worker(name, script, scripts)),
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
export async function storage(name) {
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
