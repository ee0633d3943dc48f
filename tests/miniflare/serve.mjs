// Serves one worker on workerd: node serve.mjs '{"script", "compatibilityDate", "state", "vars"}'.
// Prints {"url"} when it answers, and ends when stdin does, so that no server outlives its test,
// however that test ends.
import { dirname } from "node:path"
import { Miniflare } from "miniflare"

const { script, compatibilityDate, state, vars } = JSON.parse(process.argv[2])

const server = new Miniflare({
  name: "streams",
  modules: true,
  modulesRoot: dirname(script),
  scriptPath: script,
  modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }],
  compatibilityDate,
  durableObjects: { STREAMS: { className: "StreamDO", useSQLite: true } },
  r2Buckets: ["R2"],
  kvNamespaces: ["REGISTRY"],
  analyticsEngineDatasets: { METRICS: { dataset: "metrics" } },
  bindings: vars,
  defaultPersistRoot: state,
  // Otherwise miniflare asks a server of Cloudflare where this machine is.
  cf: false,
  host: "127.0.0.1",
  port: 0,
})

process.stdin.resume().on("end", () => server.dispose())
const { origin } = await server.ready
console.log(JSON.stringify({ url: origin }))
