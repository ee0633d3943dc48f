// Files as stream-fs keeps them: a stream of metadata, a stream for the content of each file, and
// every agent follows the metadata. With the official client, as that package has it.
import { DurableStream } from "@durable-streams/client"
import { equal, freshUrls, numbers, until } from "./checks.mjs"

const JSON_TYPE = "application/json"

/** The files below `root`, as one agent knows them. */
async function open(root) {
  const url = `${root}/_metadata`
  const metadata = await DurableStream.create({ url, contentType: JSON_TYPE }).catch((error) => {
    if (error.code !== "CONFLICT_EXISTS") throw error
    return new DurableStream({ url, contentType: JSON_TYPE })
  })
  const files = new Map()
  const res = await metadata.stream({ live: true, json: true })
  res.subscribeJson(({ items }) => {
    for (const { key, value, headers } of items) {
      if (headers.operation === "delete") files.delete(key)
      else files.set(key, value)
    }
  })
  const tell = (operation, key, value) =>
    metadata.append(JSON.stringify({ type: "file", key, value, headers: { operation } }))
  const content = (id) => `${root}/_content/${id}`
  return {
    files,
    close: () => res.cancel(),

    write: async (path, contentType, body) => {
      const id = crypto.randomUUID()
      await DurableStream.create({ url: content(id), contentType, body })
      await tell(files.has(path) ? "update" : "insert", path, { id, contentType })
    },

    read: async (path) => {
      const { id } = files.get(path)
      return (await new DurableStream({ url: content(id) }).stream({ live: false })).body()
    },

    remove: async (path) => {
      const { id } = files.get(path)
      await DurableStream.delete({ url: content(id) })
      await tell("delete", path)
    },
  }
}

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "stream-fs")
  return {
    "files that one agent writes are there for another, with their content": async () => {
      const root = fresh()
      const [one, other] = [await open(root), await open(root)]
      const bytes = new Uint8Array(numbers(0, 100_000))
      await one.write("/docs/notes ß.md", "text/markdown", "# Notes\r\n")
      await one.write("/image.png", "image/png", bytes)
      await until(() => other.files.size === 2)
      equal(new TextDecoder().decode(await other.read("/docs/notes ß.md")), "# Notes\r\n", "text")
      equal([...(await other.read("/image.png"))], [...bytes], "bytes")
      await other.write("/docs/notes ß.md", "text/markdown", "changed")
      await other.remove("/image.png")
      await until(() => one.files.size === 1)
      equal(new TextDecoder().decode(await one.read("/docs/notes ß.md")), "changed", "new text")
      const late = await open(root)
      await until(() => late.files.size === 1)
      equal([...late.files], [...one.files], "files of one who joins later")
      for (const agent of [one, other, late]) agent.close()
    },
  }
}
