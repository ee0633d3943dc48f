// Serves one worker on workerd:
// node serve.mjs '{"script", "compatibilityDate", "compatibilityFlags", "state", "vars", "registry",
// "entries", "r2", "hasJobs", "isCounted", "port"}'.
// Prints {"url"} when it answers, and ends when stdin does, so that no server outlives its test,
// however that test ends. Each line on stdin is what is to go wrong with R2 from now on, a key of
// `faults` in faulty-r2.mjs, and is repeated on stdout when it does.
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { Miniflare } from "miniflare"

const options = JSON.parse(process.argv[2])
const { script, compatibilityDate, compatibilityFlags, state } = options
const { vars, registry, entries, r2, hasJobs, isCounted, port } = options

const moduleIn = (path) => ({
  type: "ESModule",
  path,
  contents: readFileSync(join(import.meta.dirname, path), "utf8"),
})

// Keeps count of what the worker asks for where the test can read it.
const counts = {
  object_requests: 0,
  directory_requests: 0,
  subscription_requests: 0,
  // Alarms that objects have set.
  object_alarms: 0,
  directory_alarms: 0,
  subscription_alarms: 0,
  kv_reads: 0,
  kv_writes: 0,
  r2_reads: 0,
  r2_writes: 0,
  r2_deletions: 0,
  // Requests to objects of all classes, by where they are said to be.
  places: {},
}
const note = (kind, place) => {
  if (kind) counts[kind] += 1
  if (place) counts.places[place] = (counts.places[place] ?? 0) + 1
  // Whole, as somebody may be reading it.
  writeFileSync(join(state, "calls.new"), JSON.stringify(counts))
  renameSync(join(state, "calls.new"), join(state, "calls.json"))
}
note()
const COUNT = (request) => {
  const { pathname, search } = new URL(request.url)
  note(pathname.slice(1), search.slice(1))
  return new Response()
}

const betweenKv = {
  name: "between-kv",
  modules: [moduleIn("between-kv.mjs")],
  bindings: { MODE: registry },
  kvNamespaces: { KV: "REGISTRY" },
  serviceBindings: { COUNT },
}

const countedR2 = {
  name: "counted-r2",
  modules: [moduleIn("counted-r2.mjs")],
  r2Buckets: { BUCKET: "R2" },
  serviceBindings: { COUNT },
}

// The worker's classes, by their bindings, and as what requests to them are counted. Not every worker
// that is served has all of them.
const source = readFileSync(script, "utf8")
const classes = [
  { binding: "STREAMS", className: "StreamDO", kind: "object" },
  { binding: "DIRECTORIES", className: "DirectoryDO", kind: "directory" },
  { binding: "SUBSCRIPTIONS", className: "SubscriptionDO", kind: "subscription" },
].filter(({ className }) => source.includes(className))

const countedObjects = ({ binding, className, kind }) => ({
  name: `counted-${binding}`,
  modules: [moduleIn("counted-objects.mjs")],
  bindings: { KIND: `${kind}_requests` },
  durableObjects: { OBJECTS: { className, scriptName: "streams", useSQLite: true } },
  serviceBindings: { COUNT },
})

// The worker with objects that count their alarms.
const countedMain = () => {
  const path = join(dirname(script), "counted.mjs")
  const of = ({ className, kind }) =>
    `export const ${className} = counting(worker.${className}, "${kind}_alarms")`
  const text = [
    readFileSync(join(import.meta.dirname, "counted-alarms.mjs"), "utf8"),
    `import * as worker from "./${basename(script)}"`,
    `export { default } from "./${basename(script)}"`,
    ...classes.map(of),
  ]
  writeFileSync(path, text.join("\n"))
  return path
}

const faultyR2 = {
  name: "faulty-r2",
  modules: [moduleIn("faulty-r2.mjs")],
  r2Buckets: { BUCKET: "R2" },
  kvNamespaces: { FAULTS: "FAULTS" },
}

// Only for the test's own access.
const own = {
  name: "own",
  modules: true,
  script: "export default {}",
  kvNamespaces: { REGISTRY: "REGISTRY", FAULTS: "FAULTS" },
}

const isBetween = !["usual", "missing"].includes(registry)
const isFaulty = r2 === "faulty"
const streams = {
  name: "streams",
  modules: true,
  modulesRoot: dirname(script),
  scriptPath: isCounted ? countedMain() : script,
  modulesRules: [
    { type: "ESModule", include: ["**/*.js", "**/*.mjs"] },
    { type: "CompiledWasm", include: ["**/*.wasm"] },
  ],
  compatibilityDate,
  compatibilityFlags,
  durableObjects: Object.fromEntries(
    classes.map(({ binding, className }) => [
      isCounted ? `UNCOUNTED_${binding}` : binding,
      { className, useSQLite: true },
    ]),
  ),
  kvNamespaces: registry === "usual" ? ["REGISTRY"] : [],
  r2Buckets: r2 === "works" && !isCounted ? ["R2"] : [],
  wrappedBindings: {
    ...(isCounted && { R2: "counted-r2" }),
    ...(isCounted &&
      Object.fromEntries(classes.map(({ binding }) => [binding, `counted-${binding}`]))),
    ...(isBetween && { REGISTRY: "between-kv" }),
    ...(isFaulty && { R2: "faulty-r2" }),
  },
  serviceBindings: isCounted ? { COUNT } : {},
  ...(hasJobs && {
    queueProducers: { JOBS: "jobs" },
    queueConsumers: { jobs: { maxBatchSize: 3, maxBatchTimeout: 1 } },
  }),
  analyticsEngineDatasets: { METRICS: { dataset: "metrics" } },
  bindings: vars,
}

const server = new Miniflare({
  workers: [
    streams,
    ...(isBetween ? [betweenKv] : []),
    ...(isFaulty ? [faultyR2] : []),
    ...(isCounted ? [countedR2, ...classes.map(countedObjects)] : []),
    own,
  ],
  defaultPersistRoot: state,
  unsafeTriggerHandlers: hasJobs,
  // Otherwise miniflare asks a server of Cloudflare where this machine is.
  cf: false,
  host: "127.0.0.1",
  port,
})

const { origin } = await server.ready
if (Object.keys(entries).length > 0) {
  const namespace = await server.getKVNamespace("REGISTRY", "own")
  for (const [key, value] of Object.entries(entries)) {
    await (value === null ? namespace.delete(key) : namespace.put(key, value))
  }
}
console.log(JSON.stringify({ url: origin }))
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("{")) {
    const { key, value } = JSON.parse(line)
    const namespace = await server.getKVNamespace("REGISTRY", "own")
    await (value === null ? namespace.delete(key) : namespace.put(key, value))
  } else {
    const faults = await server.getKVNamespace("FAULTS", "own")
    await faults.put("fault", line)
  }
  console.log(line)
}
await server.dispose()
