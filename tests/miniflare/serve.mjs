// Serves one worker on workerd: node serve.mjs '{"script", "compatibilityDate", "state", "vars"}'.
// Prints {"url"} when it answers, and ends when stdin does, so that no server outlives its test,
// however that test ends. Each line on stdin is what is to go wrong with R2 from now on, a key of
// `faults` in faulty-r2.mjs, and is repeated on stdout when it does. With "withoutR2", there is no
// bucket.
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { Miniflare } from "miniflare"

const { script, compatibilityDate, state, vars, withFaults, withoutR2 } = JSON.parse(process.argv[2])

const bucket = withFaults
  ? { wrappedBindings: { R2: "faulty-r2" } }
  : { r2Buckets: withoutR2 ? [] : ["R2"] }

const streams = {
  name: "streams",
  modules: true,
  modulesRoot: dirname(script),
  scriptPath: script,
  modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }],
  compatibilityDate,
  durableObjects: { STREAMS: { className: "StreamDO", useSQLite: true } },
  kvNamespaces: ["REGISTRY"],
  analyticsEngineDatasets: { METRICS: { dataset: "metrics" } },
  bindings: vars,
  ...bucket,
}

const faultyR2 = {
  name: "faulty-r2",
  modules: [
    {
      type: "ESModule",
      path: "faulty-r2.mjs",
      contents: readFileSync(join(import.meta.dirname, "faulty-r2.mjs"), "utf8"),
    },
  ],
  r2Buckets: { BUCKET: "R2" },
  kvNamespaces: { FAULTS: "FAULTS" },
}

const server = new Miniflare({
  workers: withFaults ? [streams, faultyR2] : [streams],
  defaultPersistRoot: state,
  // Otherwise miniflare asks a server of Cloudflare where this machine is.
  cf: false,
  host: "127.0.0.1",
  port: 0,
})

const { origin } = await server.ready
console.log(JSON.stringify({ url: origin }))
for await (const fault of createInterface({ input: process.stdin })) {
  const faults = await server.getKVNamespace("FAULTS", "faulty-r2")
  await faults.put("fault", fault)
  console.log(fault)
}
await server.dispose()
