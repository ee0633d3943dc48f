// Documents of Yjs behind the server of y-durable-streams, which keeps them in streams: updates as
// they come, and now and then a snapshot of the whole that new readers start with.
import { YjsProvider } from "@durable-streams/y-durable-streams"
import { YjsServer } from "@durable-streams/y-durable-streams/server"
import { Awareness } from "y-protocols/awareness"
import * as Y from "yjs"
import { equal, numbers, sleep, until } from "./checks.mjs"

/** How many bytes of updates make a snapshot. */
const COMPACTION = 64 * 1024

/** A paragraph that no other one is alike. */
const paragraph = (n) => `${n}: `.padEnd(4000, `${n} ß€😀 `)

/** The checks, for streams at `server`. */
export async function checks(server) {
  const yjs = new YjsServer({ dsServerUrl: server, compactionThreshold: COMPACTION })
  const baseUrl = `${await yjs.start()}/v1/yjs/checks`
  let documents = 0
  const fresh = () => `document-${documents++}`

  const open = async (docId, options = {}) => {
    const doc = new Y.Doc()
    const errors = []
    const provider = new YjsProvider({ doc, baseUrl, docId, connect: false, ...options })
    provider.on("error", (error) => errors.push(`${error}`))
    await provider.connect()
    await until(() => provider.synced)
    return { doc, provider, errors, text: doc.getText("text") }
  }

  /** Where the newest snapshot of a document is, if it has one. */
  const snapshotOf = async (docId) => {
    const url = `${baseUrl}/docs/${docId}?offset=snapshot`
    const answer = await fetch(url, { redirect: "manual" })
    return new URL(answer.headers.get("location"), url).searchParams.get("offset")
  }

  const isSame = (writers, what) => {
    const [first, ...others] = writers.map(({ text }) => text.toString())
    equal(others.map((other) => other === first), others.map(() => true), `${what} have the same`)
    return first
  }

  const end = (...all) => {
    equal(all.flatMap(({ errors }) => errors), [], "errors")
    for (const { provider } of all) provider.destroy()
  }

  return {
    "a document of several MB is whole for all who write it and who joins later": async () => {
      const docId = fresh()
      const writers = await Promise.all(numbers(0, 3).map(() => open(docId)))
      const snapshots = new Set()
      let count = 0
      let expected = 0
      for (const round of numbers(0, 12)) {
        for (const { text } of writers) {
          for (const _ of numbers(0, 20)) {
            const added = paragraph(count++)
            expected += added.length
            text.insert((text.length * ((count * 7) % 10)) / 10 | 0, added)
            if (count % 5 === 0) await sleep(1)
          }
        }
        await until(() => writers.every(({ text }) => text.length === expected))
        snapshots.add(await snapshotOf(docId))
        if (round % 4 === 3) {
          const late = await open(docId)
          await until(() => late.text.length === expected)
          isSame([...writers, late], `writers and a reader of round ${round}`)
          end(late)
        }
      }
      const whole = isSame(writers, "writers")
      equal(expected > 2_500_000, true, `${expected} characters are many`)
      equal(whole.length, expected, "characters")
      equal(snapshots.size > 6, true, `${snapshots.size} snapshots are many`)
      end(...writers)
    },

    "a page whose connection was away has what the others wrote": async () => {
      const docId = fresh()
      const [one, other] = await Promise.all([open(docId), open(docId, { liveMode: "long-poll" })])
      one.text.insert(0, "before. ")
      await until(() => other.text.toString() === "before. ")
      await one.provider.disconnect()
      for (const n of numbers(0, 40)) other.text.insert(other.text.length, paragraph(n))
      await one.provider.connect()
      const length = "before. ".length + numbers(0, 40).map(paragraph).join("").length
      await until(() => [one, other].every(({ text }) => text.length === length))
      isSame([one, other], "both")
      end(one, other)
    },

    "who is there is known to the others": async () => {
      const docId = fresh()
      const pages = await Promise.all(
        numbers(0, 2).map((n) => {
          const awareness = new Awareness(new Y.Doc())
          awareness.setLocalStateField("name", `page ${n}`)
          return open(docId, { doc: awareness.doc, awareness }).then((page) => ({ ...page, awareness }))
        }),
      )
      const names = ({ awareness }) => [...awareness.getStates().values()].map(({ name }) => name)
      for (const page of pages) {
        await until(() => names(page).length === 2)
        equal(names(page).sort(), ["page 0", "page 1"], "names")
      }
      for (const { awareness } of pages) awareness.destroy()
      end(...pages)
    },
  }
}
