// Versions of workers, and which of them serve. A version is a worker as it once was.
import { randomUUID } from "node:crypto"
import { script } from "./scripts.mjs"
import { Refusal, cloud, find, named, now } from "./state.mjs"
import { run } from "./workerd.mjs"

/** What a version keeps of a worker. */
const KEPT = ["metadata", "folder", "modules", "tag", "classes", "etag", "secrets"]

export const newest = (found) => found.versions.at(-1)

/** Makes what a worker is now its newest version, which serves. */
export function addVersion(found, triggeredBy) {
  const kept = Object.fromEntries(KEPT.map((key) => [key, found[key]]))
  const number = found.versions.length + 1
  const version = { id: randomUUID(), number, created: now(), triggeredBy, kept }
  found.versions.push(version)
  serve(found, version, triggeredBy)
}

function serve(found, version, message) {
  found.deployments.unshift({
    id: randomUUID(),
    source: "api",
    strategy: "percentage",
    author_email: "dev@example.test",
    // Two within a millisecond would have no order.
    created_on: new Date(Date.now() + found.deployments.length).toISOString(),
    annotations: { "workers/message": message },
    versions: [{ version_id: version.id, percentage: 100 }],
  })
}

function describe({ id, number, created, triggeredBy }) {
  return {
    id,
    number,
    metadata: { created_on: created, author_email: "dev@example.test", source: "api" },
    annotations: { "workers/triggered_by": triggeredBy },
  }
}

function whole(found, id) {
  const version = find(found.versions, "id", id)
  if (!version) throw new Refusal(404, 10007, "This version does not exist.")
  const { metadata, secrets, tag, etag } = version.kept
  return {
    ...describe(version),
    resources: {
      bindings: [...metadata.bindings, ...named(secrets)],
      script: { etag, handlers: ["fetch"] },
      script_runtime: { compatibility_date: metadata.compatibility_date, migration_tag: tag },
    },
  }
}

async function deploy(name, { versions }, force) {
  const found = script(name)
  const version = find(found.versions, "id", versions[0].version_id)
  if (!version) throw new Refusal(404, 10007, "This version does not exist.")
  if (version.kept.tag !== found.tag)
    throw new Refusal(400, 10212, "A Durable Object migration has occurred since this version.")
  const before = Object.keys({ ...found.secrets, ...version.kept.secrets })
  const changed = before.filter((key) => found.secrets[key] !== version.kept.secrets[key])
  if (changed.length > 0 && !force)
    throw new Refusal(400, 10220, `The following secrets have changed: ${changed.join(", ")}`)
  Object.assign(found, version.kept)
  serve(found, version, "rollback")
  await run(cloud.scripts)
  return { id: found.deployments[0].id }
}

export const routes = [
  [
    "GET",
    "/workers/scripts/:s/versions",
    (s) => ({ items: script(s).versions.map(describe).reverse() }),
  ],
  ["GET", "/workers/scripts/:s/versions/:v", (s, v) => whole(script(s), v)],
  ["GET", "/workers/scripts/:s/deployments", (s) => ({ deployments: script(s).deployments })],
  [
    "POST",
    "/workers/scripts/:s/deployments",
    (s, { body, query }) => deploy(s, body, query.force === "true"),
  ],
]
