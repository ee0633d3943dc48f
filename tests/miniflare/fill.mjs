// Fills the directory of a worker: node fill.mjs '{"script", "compatibilityDate",
// "compatibilityFlags", "state", "place", "count"}' registers so many streams below a place, as if they
// had been created, and prints {"seconds"}. Each is one request to its shard, as it is of a stream.
import { dirname } from "node:path"
import { Miniflare } from "miniflare"

const options = JSON.parse(process.argv[2])
const { script, compatibilityDate, compatibilityFlags, state, place, count } = options

/** How many registrations one request to the worker below makes, and how many at once. */
const BATCH = 5000
const AT_ONCE = 1024

const filler = `
import { createHash } from "node:crypto"
const SHARDS = 16
const shardOf = (name) => createHash("sha256").update(name).digest().readUInt32BE(0) % SHARDS
export default {
  async fetch(request, { DIRECTORIES }) {
    const { place, from, count, atOnce } = await request.json()
    const stubs = new Map()
    let next = from
    const work = async () => {
      while (next < from + count) {
        const name = place + "/" + String(next++).padStart(9, "0")
        const shard = String(shardOf(name))
        if (!stubs.has(shard)) stubs.set(shard, DIRECTORIES.get(DIRECTORIES.idFromName(shard)))
        const life = { born: 1700000000000 + next, incarnation: next.toString(16) + "-fill" }
        const body = JSON.stringify({ v: 3, name, life, content_type: "application/json" })
        const answer = await stubs.get(shard).fetch("http://object/fork/register", { method: "PATCH", body })
        if (answer.status !== 200) throw new Error(answer.status + " " + (await answer.text()))
        await answer.arrayBuffer()
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return new Response()
  },
}`

const server = new Miniflare({
  workers: [
    {
      name: "filler",
      modules: true,
      script: filler,
      compatibilityDate,
      compatibilityFlags: ["nodejs_compat"],
      durableObjects: { DIRECTORIES: { className: "DirectoryDO", scriptName: "streams", useSQLite: true } },
    },
    {
      name: "streams",
      modulesRoot: dirname(script),
      modules: true,
      scriptPath: script,
      modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }],
      compatibilityDate,
      compatibilityFlags,
      durableObjects: {
        STREAMS: { className: "StreamDO", useSQLite: true },
        DIRECTORIES: { className: "DirectoryDO", useSQLite: true },
        SUBSCRIPTIONS: { className: "SubscriptionDO", useSQLite: true },
      },
    },
  ],
  defaultPersistRoot: state,
  cf: false,
  host: "127.0.0.1",
  port: 0,
})
const { origin } = await server.ready
const start = performance.now()
for (let from = 0; from < count; from += BATCH) {
  const body = JSON.stringify({ place, from, count: Math.min(BATCH, count - from), atOnce: AT_ONCE })
  const answer = await fetch(origin, { method: "POST", body })
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`)
}
const seconds = (performance.now() - start) / 1000
await server.dispose()
console.log(JSON.stringify({ seconds }))
