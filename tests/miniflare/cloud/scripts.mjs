// Workers: their code, settings, secrets and addresses.
import { randomBytes } from "node:crypto"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { findBucket } from "./r2.mjs"
import { Refusal, cloud, find, named, now, sha256, state } from "./state.mjs"
import { addVersion } from "./versions.mjs"
import { run } from "./workerd.mjs"

export function script(name) {
  const found = cloud.scripts[name]
  if (!found) throw new Refusal(404, 10007, "This Worker does not exist on your account.")
  return found
}

/**
 * Carries out migrations on the classes there are. A class that comes from another worker keeps what it
 * holds, and that worker's bindings lead to it from then on.
 */
function migrate(name, before, migrations) {
  const classes = { ...before?.classes }
  const keys = { ...before?.keys }
  const sources = {}
  if (!migrations) return { tag: before?.tag, classes, keys, sources }
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
    for (const { from, from_script, to } of step.transferred_classes ?? []) {
      const source = sources[from_script] ?? script(from_script)
      if (!source.classes[from])
        throw new Refusal(400, 10061, `${from_script} has no Durable Object class ${from}`)
      if (classes[to]) throw new Refusal(400, 10074, `Class ${to} exists already`)
      classes[to] = source.classes[from]
      keys[to] = source.keys[from] ?? `${from_script}-${from}`
      const { [from]: _, ...left } = source.classes
      const lead = (binding) =>
        binding.class_name === from && !binding.script_name
          ? { ...binding, class_name: to, script_name: name }
          : binding
      const bindings = source.metadata.bindings.map(lead)
      sources[from_script] = { ...source, classes: left, metadata: { ...source.metadata, bindings } }
    }
    for (const name of step.deleted_classes ?? []) delete classes[name]
    for (const { from, to } of step.renamed_classes ?? []) {
      classes[to] = classes[from]
      delete classes[from]
    }
  }
  return { tag: migrations.new_tag, classes, keys, sources }
}

function checkBindings(name, metadata, classes) {
  for (const binding of metadata.bindings) {
    if (binding.type === "kv_namespace" && !find(cloud.namespaces, "id", binding.namespace_id))
      throw new Refusal(400, 10041, `KV namespace ${binding.namespace_id} not found`)
    if (binding.type === "r2_bucket" && !findBucket(binding.bucket_name, binding.jurisdiction))
      throw new Refusal(400, 10085, `R2 bucket ${binding.bucket_name} not found`)
    if (binding.type === "analytics_engine" && cloud.analytics === false)
      throw new Refusal(403, 10089, "workers.api.error.no_access_to_analytics_engine")
    const isOwn = binding.type === "durable_object_namespace" && !binding.script_name
    if (isOwn && !classes[binding.class_name])
      throw new Refusal(400, 10061, `${name} has no Durable Object class ${binding.class_name}`)
  }
}

async function upload(name, body) {
  if (!cloud.subdomain)
    throw new Refusal(403, 10063, "You need a workers.dev subdomain in order to proceed.")
  const before = cloud.scripts[name]
  const { metadata } = body
  const { tag, classes, keys, sources } = migrate(name, before, metadata.migrations)
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
    keys,
    etag,
    mark: before?.mark ?? randomBytes(16).toString("hex"),
    secrets: keeps ? (before?.secrets ?? {}) : {},
    enabled: before?.enabled ?? false,
    previews: before?.previews ?? false,
    created: before?.created ?? now(),
    modified: now(),
    versions: before?.versions ?? [],
    deployments: before?.deployments ?? [],
  }
  // Whoever cannot be started is not deployed, and the old version goes on serving.
  try {
    await run({ ...cloud.scripts, ...sources, [name]: { ...after, enabled: true } })
    await run({ ...cloud.scripts, ...sources, [name]: after })
  } catch (error) {
    await run(cloud.scripts)
    throw new Refusal(400, 10021, error.message)
  }
  Object.assign(cloud.scripts, sources, { [name]: after })
  cloud.uploads += 1
  addVersion(after, "upload")
  return describe(name)
}

function describe(name) {
  const { etag, mark, tag, created, modified } = script(name)
  return {
    id: name,
    tag: mark,
    etag,
    migration_tag: tag,
    handlers: ["fetch"],
    created_on: created,
    modified_on: modified,
  }
}

function settings(name) {
  const { metadata, secrets, tag } = script(name)
  const bindings = metadata.bindings.map((binding) =>
    binding.type === "durable_object_namespace"
      ? { ...binding, namespace_id: sha256(binding.class_name).slice(0, 32) }
      : binding,
  )
  return {
    bindings: [...bindings, ...named(secrets)],
    compatibility_date: metadata.compatibility_date,
    compatibility_flags: metadata.compatibility_flags,
    observability: metadata.observability,
    migration_tag: tag,
  }
}

async function remove(name) {
  const { classes, keys } = script(name)
  delete cloud.scripts[name]
  await run(cloud.scripts)
  for (const className of Object.keys(classes)) {
    const key = keys?.[className] ?? `${name}-${className}`
    rmSync(join(state, "storage/do", key), { recursive: true, force: true })
  }
}

export const routes = [
  ["GET", "/workers/scripts", () => Object.keys(cloud.scripts).map(describe)],
  ["GET", "/workers/scripts/:s/settings", (s) => settings(s)],
  ["PUT", "/workers/scripts/:s", (s, { body }) => upload(s, body)],
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
]
