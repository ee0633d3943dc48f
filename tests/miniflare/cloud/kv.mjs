// KV namespaces and their values.
import { randomBytes } from "node:crypto"
import { Refusal, cloud, find } from "./state.mjs"
import { run, storage } from "./workerd.mjs"

function namespace(id) {
  const found = find(cloud.namespaces, "id", id)
  if (!found) throw new Refusal(404, 10013, "namespace not found")
  return found
}

export const routes = [
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
]
