// Buckets and their objects.
import { Refusal, cloud, now } from "./state.mjs"
import { run, storage } from "./workerd.mjs"

/** A bucket of this name in a jurisdiction, where alone it can be found. */
export function findBucket(name, jurisdiction) {
  return cloud.buckets.find((one) => one.name === name && one.jurisdiction === jurisdiction)
}

function bucket(name, jurisdiction) {
  const found = findBucket(name, jurisdiction)
  if (!found) throw new Refusal(404, 10006, "The specified bucket does not exist.")
  return found
}

export const routes = [
  ["GET", "/r2/buckets", () => ({ buckets: cloud.buckets })],
  ["GET", "/r2/buckets/:b", (b, { jurisdiction }) => bucket(b, jurisdiction)],
  [
    "POST",
    "/r2/buckets",
    async ({ body, jurisdiction }) => {
      if (findBucket(body.name, jurisdiction))
        throw new Refusal(409, 10004, "The bucket you tried to create already exists, and you own it.")
      const location = body.locationHint?.toUpperCase() ?? "WNAM"
      const made = { name: body.name, creation_date: now(), location, jurisdiction }
      cloud.buckets.push(made)
      await run(cloud.scripts)
      return made
    },
  ],
  [
    "DELETE",
    "/r2/buckets/:b",
    async (b, { jurisdiction }) => {
      const found = bucket(b, jurisdiction)
      const { objects } = await (await storage(found.name)).list({ limit: 1 })
      if (objects.length > 0) throw new Refusal(409, 10008, "The bucket is not empty.")
      cloud.buckets = cloud.buckets.filter((one) => one !== found)
      await run(cloud.scripts)
      return {}
    },
  ],
  [
    "GET",
    "/r2/buckets/:b/objects",
    async (b, { query, jurisdiction, page }) => {
      const store = await storage(bucket(b, jurisdiction).name)
      const limit = Number(query.per_page)
      const { objects, cursor } = await store.list({ limit, cursor: query.cursor })
      if (cursor) page.cursor = cursor
      return objects.map(({ key }) => ({ key }))
    },
  ],
  [
    "DELETE",
    "/r2/buckets/:b/objects/:k",
    async (b, k, { jurisdiction }) => {
      await (await storage(bucket(b, jurisdiction).name)).delete(k)
      return { key: k }
    },
  ],
]
