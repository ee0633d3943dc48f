// Serves one worker on workerd:
// node serve.mjs '{"script", "compatibilityDate", "state", "vars", "registry", "entries"}'.
// Prints {"url"} when it answers, and ends when stdin does, so that no server outlives its test,
// however that test ends.
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Miniflare } from "miniflare"

const { script, compatibilityDate, state, vars, registry, entries } = JSON.parse(process.argv[2])

// Keeps count of what the worker asks of KV where the test can read it.
const counts = { reads: 0, writes: 0 }
const note = (kind) => {
  if (kind) counts[kind] += 1
  writeFileSync(join(state, "kv.json"), JSON.stringify(counts))
}
note()

// Stands between the worker and KV: `counted` passes everything on, `failing` nothing, and `silent`
// never answers.
const between = `
  const call = async ({ KV, COUNT, MODE }, kind, method, args) => {
    await COUNT.fetch("http://count/" + kind)
    if (MODE === "failing") throw new Error("KV is out of order")
    if (MODE === "silent") return await new Promise(() => {})
    return await KV[method](...args)
  }
  export default (env) => ({
    get: (...args) => call(env, "reads", "get", args),
    put: (...args) => call(env, "writes", "put", args),
    delete: (...args) => call(env, "writes", "delete", args),
  })`

const kv = {
  usual: { kvNamespaces: { REGISTRY: "REGISTRY" } },
  missing: {},
}
const stands = !(registry in kv)

const server = new Miniflare({
  workers: [
    {
      name: "streams",
      modules: true,
      modulesRoot: dirname(script),
      scriptPath: script,
      modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }],
      compatibilityDate,
      durableObjects: { STREAMS: { className: "StreamDO", useSQLite: true } },
      r2Buckets: ["R2"],
      analyticsEngineDatasets: { METRICS: { dataset: "metrics" } },
      bindings: vars,
      ...kv[registry],
      ...(stands && { wrappedBindings: { REGISTRY: "between" } }),
    },
    ...(stands
      ? [
          {
            name: "between",
            modules: true,
            script: between,
            bindings: { MODE: registry },
            kvNamespaces: { KV: "REGISTRY" },
            serviceBindings: {
              COUNT: (request) => {
                note(new URL(request.url).pathname.slice(1))
                return new Response()
              },
            },
          },
        ]
      : []),
    // Only for the test's own access.
    { name: "entries", modules: true, script: "export default {}", kvNamespaces: { KV: "REGISTRY" } },
  ],
  defaultPersistRoot: state,
  // Otherwise miniflare asks a server of Cloudflare where this machine is.
  cf: false,
  host: "127.0.0.1",
  port: 0,
})

process.stdin.resume().on("end", () => server.dispose())
const { origin } = await server.ready
if (Object.keys(entries).length > 0) {
  const namespace = await server.getKVNamespace("KV", "entries")
  for (const [key, value] of Object.entries(entries)) {
    await (value === null ? namespace.delete(key) : namespace.put(key, value))
  }
}
console.log(JSON.stringify({ url: origin }))
