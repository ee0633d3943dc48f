// Collections of StreamDB, which are rows made of the events of a stream.
import { DurableStream } from "@durable-streams/client"
import { createStateSchema } from "@durable-streams/state"
import { createStreamDB } from "@durable-streams/state/db"
import { z } from "zod"
import { equal, freshUrls, numbers, until } from "./checks.mjs"
import { proxyTo } from "./proxy.mjs"

const JSON_TYPE = "application/json"

const schema = createStateSchema({
  users: {
    schema: z.object({ id: z.string(), name: z.string() }),
    type: "user",
    primaryKey: "id",
  },
  messages: {
    schema: z.object({ id: z.string(), text: z.string() }),
    type: "message",
    primaryKey: "id",
  },
})

const user = (id, name) => ({ id, name })

/** The rows of a collection by their keys. */
function rows(collection) {
  return [...collection.values()].map(({ id, name, text }) => `${id}=${name ?? text}`).sort()
}

/** The checks, for streams at `server`. */
export function checks(server) {
  const fresh = freshUrls(server, "state")
  const open = (url, live) =>
    createStreamDB({ streamOptions: { url, contentType: JSON_TYPE }, live, state: schema })
  const create = () => DurableStream.create({ url: fresh(), contentType: JSON_TYPE })
  const tell = (handle, event) => handle.append(JSON.stringify(event))

  /** What is there, then what comes, until the stream is closed. */
  const follow = async (live) => {
    const handle = await create()
    for (const n of numbers(0, 30)) {
      await tell(handle, schema.users.insert({ value: user(`${n % 10}`, `name ${n}`) }))
    }
    await tell(handle, schema.users.delete({ key: "3" }))
    const db = open(handle.url, live)
    await db.preload()
    const { users, messages } = db.collections
    const expected = numbers(0, 10).map((n) => `${n}=name ${n + 20}`)
    expected.splice(3, 1)
    equal(rows(users), expected, "rows that are there")
    equal(rows(messages), [], "rows of the other collection")
    await tell(handle, schema.users.update({ value: user("1", "once more") }))
    await tell(handle, schema.users.delete({ key: "0" }))
    await tell(handle, schema.messages.insert({ value: { id: "m", text: "ß€😀\r\n" } }))
    await until(() => messages.size === 1)
    equal(rows(users).slice(0, 2), ["1=once more", "2=name 22"], "rows that came")
    equal(rows(messages), ["m=ß€😀\r\n"], "a message")
    equal(db.offset, (await handle.head()).offset, "offset")
    db.close()
  }

  return {
    "a collection has the rows that are there and those that come, by long-poll": () =>
      follow("long-poll"),

    "a collection has the rows that are there and those that come, by SSE": () => follow("sse"),

    "an action is seen at once, and confirmed by its transaction": async () => {
      const handle = await create()
      const db = createStreamDB({
        stream: handle,
        live: "sse",
        state: schema,
        actions: ({ db, stream }) => ({
          add: {
            onMutate: (value) => {
              db.collections.users.insert(value)
            },
            mutationFn: async (value) => {
              const headers = { txid: `add ${value.id}` }
              await stream.append(JSON.stringify(schema.users.insert({ value, headers })))
              await db.utils.awaitTxId(headers.txid)
            },
          },
        }),
      })
      await db.preload()
      const done = numbers(0, 20).map((n) => db.actions.add(user(`${n}`, `name ${n}`)))
      equal(db.collections.users.size, 20, "rows at once")
      await Promise.all(done.map(({ isPersisted }) => isPersisted.promise))
      db.close()
      const other = open(handle.url, false)
      await other.preload()
      equal(rows(other.collections.users), rows(db.collections.users), "rows of another database")
      equal(other.collections.users.size, 20, "number of them")
      other.close()
    },

    "a collection whose connections are cut has each row, as it was last": async () => {
      const handle = await create()
      const proxy = await proxyTo(server)
      const db = open(handle.url.replace(server, proxy.url), "long-poll")
      await db.preload()
      for (const n of numbers(0, 60)) {
        const cut = n % 6 === 5 ? proxy.cut() : undefined
        await tell(handle, schema.users.insert({ value: user(`${n % 7}`, `${n}`) }))
        await cut
      }
      const names = () => rows(db.collections.users).map((row) => Number(row.split("=")[1]))
      await until(() => names().includes(59))
      equal(
        names().sort((a, b) => a - b),
        numbers(53, 60),
        "names",
      )
      db.close()
    },
  }
}
