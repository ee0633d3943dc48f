// Writers of a document of the example collab, whose server is killed in the middle.
import { YjsProvider } from "@durable-streams/y-durable-streams"
import * as Y from "yjs"
import { equal, numbers, sleep, until } from "./checks.mjs"

/** The checks, for a worker at `server`. */
export async function checks(server) {
  const [baseUrl, docId] = [`${server}/yjs`, "crash"]
  const open = () => {
    const doc = new Y.Doc()
    return { provider: new YjsProvider({ doc, baseUrl, docId }), text: doc.getText("text") }
  }
  return {
    "what is written while the server dies is all there, once": async () => {
      const writers = numbers(0, 2).map(open)
      await until(() => writers.every(({ provider }) => provider.synced))
      const count = 150
      await Promise.all(
        writers.map(async ({ text }, who) => {
          for (const n of numbers(0, count)) {
            text.insert(text.length, `${who}:${n};`)
            await sleep(30)
          }
        }),
      )
      const expected = numbers(0, 2).flatMap((who) => numbers(0, count).map((n) => `${who}:${n}`))
      const isWhole = ({ text }) => text.toString().split(";").length === expected.length + 1
      await until(() => writers.every(isWhole))
      const late = open()
      await until(() => isWhole(late))
      for (const { text, provider } of [...writers, late]) {
        const words = text.toString().split(";").slice(0, -1)
        equal(words.sort(), [...expected].sort(), "what is there")
        provider.destroy()
      }
    },
  }
}
