// Secrets of workers. Each change is a version of the worker.
import { script } from "./scripts.mjs"
import { Refusal, cloud, named } from "./state.mjs"
import { addVersion, newest } from "./versions.mjs"
import { run } from "./workerd.mjs"

async function change(name, secrets) {
  const found = script(name)
  const [serving] = found.deployments
  if (serving && serving.versions[0].version_id !== newest(found).id)
    throw new Refusal(400, 10215, "Secret edit failed: the latest version isn't deployed.")
  found.secrets = secrets
  addVersion(found, "secret")
  await run(cloud.scripts)
}

export const routes = [
  ["GET", "/workers/scripts/:s/secrets", (s) => named(script(s).secrets)],
  [
    "PUT",
    "/workers/scripts/:s/secrets",
    async (s, { body }) => {
      const { metadata, secrets } = script(s)
      if (metadata.bindings.some(({ name }) => name === body.name))
        throw new Refusal(400, 10053, `Binding name '${body.name}' already in use.`)
      await change(s, { ...secrets, [body.name]: body.text })
      return { name: body.name, type: body.type }
    },
  ],
  [
    "DELETE",
    "/workers/scripts/:s/secrets/:n",
    async (s, n) => {
      const { [n]: value, ...others } = script(s).secrets
      if (value === undefined) throw new Refusal(404, 10056, "Binding not found")
      await change(s, others)
      return null
    },
  ],
]
