// Writers of a document of the example collab, whose server is killed in the middle: by the session of
// its page, in the folder PAGE. The provider alone gives up, and what it had not sent is lost.
import { equal, numbers, sleep, until } from "./checks.mjs"

const { Y } = await import(`${process.env.PAGE}/libraries.js`)
const { join } = await import(`${process.env.PAGE}/session.js`)

/** The checks, for a worker at `server`. */
export async function checks(server) {
  const [baseUrl, docId] = [`${server}/yjs`, "crash"]
  const open = () => {
    const doc = new Y.Doc()
    return { session: join({ doc, baseUrl, docId }), text: doc.getText("text") }
  }
  return {
    "what is written while the server dies is all there, once": async () => {
      const writers = numbers(0, 2).map(open)
      await until(() => writers.every(({ session }) => session.state === "saved"))
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
      for (const { text, session } of [...writers, late]) {
        const words = text.toString().split(";").slice(0, -1)
        equal(words.sort(), [...expected].sort(), "what is there")
        session.leave()
      }
    },
  }
}
