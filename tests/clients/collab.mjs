// The example collab, served at `server`: documents of Yjs, by the provider that is in npm, and by
// the session of the example's page.
import { YjsProvider } from "@durable-streams/y-durable-streams"
import { Awareness } from "y-protocols/awareness"
import * as Y from "yjs"
import { equal, numbers, sleep, until } from "./checks.mjs"

const BYTES = { "Content-Type": "application/octet-stream" }

/** The module of the example's page with this name. */
const moduleOf = (name) => import(`${process.env.PAGE}/${name}.js`)

/** The checks, for a worker at `server`. */
export async function checks(server) {
  const baseUrl = `${server}/yjs`
  let documents = 0
  const fresh = () => `checks/${Date.now()}/${documents++}`
  const request = (docId, query = "", options = {}) =>
    fetch(`${baseUrl}/docs/${docId}${query}`, { redirect: "manual", ...options })

  /** A provider, when it has what is there. */
  const open = async (docId, options = {}) => {
    const doc = new Y.Doc()
    const errors = []
    const provider = new YjsProvider({ doc, baseUrl, docId, connect: false, ...options })
    provider.on("error", (error) => errors.push(`${error}`))
    await provider.connect()
    await until(() => provider.synced)
    return { doc, provider, errors, text: doc.getText("text") }
  }

  const isSame = (writers, what) => {
    const texts = new Set(writers.map(({ text }) => text.toString()))
    equal(texts.size, 1, `different texts of ${what}`)
    return [...texts][0]
  }

  const end = (...all) => {
    equal(all.flatMap(({ errors }) => errors), [], "errors")
    for (const { provider } of all) provider.destroy()
  }

  /** What the session of the example's page makes of a document. */
  const join = async (docId) => {
    const { Y } = await moduleOf("libraries")
    const doc = new Y.Doc()
    const { join } = await moduleOf("session")
    const session = join({ doc, baseUrl, docId })
    return { session, doc, text: doc.getText("text") }
  }
  const isSaved = ({ session }) => session.state === "saved"

  return {
    "two who write at once have the same, and who joins later, too": async () => {
      const docId = fresh()
      const writers = await Promise.all([open(docId), open(docId, { liveMode: "long-poll" })])
      const count = 100
      await Promise.all(
        writers.map(async ({ text }, who) => {
          for (const n of numbers(0, count)) {
            text.insert(n % 3 ? text.length : 0, `<${who}:${n} ß€😀>`)
            if (n % 7 === 0) text.delete(text.length >> 1, 3)
            await sleep(n % 5)
          }
        }),
      )
      const isHere = ({ text }) => text.toString().includes(`<0:${count - 1}`) && text.toString().includes(`<1:${count - 1}`)
      await until(() => writers.every(isHere))
      await until(() => writers[0].text.toString() === writers[1].text.toString())
      const late = await open(docId)
      equal(isSame([...writers, late], "all").length > 1000, true, "it is long")
      end(...writers, late)
    },

    "a document goes on when a provider has left it": async () => {
      const docId = fresh()
      const first = await open(docId)
      first.text.insert(0, "first. ")
      await until(() => first.provider.synced)
      await first.provider.disconnect()
      const head = await request(docId, "", { method: "HEAD" })
      equal([head.status, head.headers.get("stream-closed")], [200, null], "the document")
      const second = await open(docId)
      second.text.insert(second.text.length, "second.")
      await first.provider.connect()
      await until(() => first.text.toString() === "first. second.")
      end(first, second)
    },

    "who is there is known to the others, until they leave": async () => {
      const docId = fresh()
      const pages = await Promise.all(
        numbers(0, 2).map(async (n) => {
          const awareness = new Awareness(new Y.Doc())
          awareness.setLocalStateField("name", `page ${n}`)
          return { ...(await open(docId, { doc: awareness.doc, awareness })), awareness }
        }),
      )
      const names = ({ awareness }) => [...awareness.getStates().values()].map(({ name }) => name)
      await until(() => pages.every((page) => names(page).length === 2))
      for (const page of pages) equal(names(page).sort(), ["page 0", "page 1"], "names")
      pages[0].provider.destroy()
      await until(() => names(pages[1]).length === 1)
      equal(names(pages[1]), ["page 1"], "who is left")
      end(...pages)
      for (const { awareness } of pages) awareness.destroy()
    },

    "an awareness that has gone is there again for who tells and who listens": async () => {
      const docId = fresh()
      const path = "?awareness=default"
      equal((await request(docId, "", { method: "PUT" })).status, 201, "PUT")
      equal((await request(docId, path, { method: "HEAD" })).status, 200, "it came with the document")
      const drop = async () => (await request(docId, path, { method: "DELETE" })).status
      equal(await drop(), 204, "DELETE")
      equal((await request(docId, path, { method: "HEAD" })).status, 404, "it is gone")
      const listening = await request(docId, `${path}&offset=now&live=sse`)
      equal(listening.status, 200, "who listens")
      await listening.body.cancel()
      equal(await drop(), 204, "DELETE once more")
      const tell = (headers) => request(docId, path, { method: "POST", headers, body: "\u0001x" })
      const told = await tell(BYTES)
      equal(told.status, 204, "who tells")
      equal(told.headers.has("stream-next-offset"), true, "its offset")
      // What a page of another origin can send without asking.
      equal((await tell({ "Content-Type": "text/plain" })).status, 400, "text")
    },

    "what is no document is refused as the protocol says": async () => {
      const docId = fresh()
      const cases = [
        ["GET", docId, "?offset=-1", 404, "DOCUMENT_NOT_FOUND"],
        ["GET", docId, "?offset=snapshot", 404, "DOCUMENT_NOT_FOUND"],
        ["GET", docId, "?offset=1_2_snapshot", 404, "SNAPSHOT_NOT_FOUND"],
        ["POST", docId, "", 404, "DOCUMENT_NOT_FOUND"],
        ["DELETE", docId, "", 404, "DOCUMENT_NOT_FOUND"],
        ["PUT", docId, "?awareness=default", 404, "DOCUMENT_NOT_FOUND"],
        ["POST", docId, "?awareness=default", 404, "DOCUMENT_NOT_FOUND"],
        ["DELETE", docId, "?awareness=default", 404, "STREAM_NOT_FOUND"],
        ["PATCH", docId, "", 405, "INVALID_REQUEST"],
        ["GET", docId, "?awareness=a/b&offset=now", 400, "INVALID_REQUEST"],
        ["PUT", "a/.awareness/default", "", 400, "INVALID_REQUEST"],
        ["PUT", "a%2F..%2Fb", "", 400, "INVALID_REQUEST"],
        ["PUT", "%ff", "", 400, "INVALID_REQUEST"],
      ]
      for (const [method, id, query, status, code] of cases) {
        const body = method === "POST" ? "\u0001x" : undefined
        const answer = await request(id, query, { method, body, headers: body ? BYTES : {} })
        const what = `${method} ${id}${query}`
        equal([answer.status, (await answer.json()).error.code], [status, code], what)
      }
    },

    "a page sends what was written before it was connected, and while it was away": async () => {
      const docId = fresh()
      const one = await join(docId)
      one.text.insert(0, "early ")
      equal(one.session.state, "connecting", "it is not connected yet")
      await until(() => isSaved(one))
      const other = await join(docId)
      await until(() => other.text.toString() === "early ")

      one.session.leave()
      one.text.insert(one.text.length, "away ")
      other.text.insert(0, "meanwhile ")
      await until(() => isSaved(other))
      const { join: again } = await moduleOf("session")
      one.session = again({ doc: one.doc, baseUrl, docId })
      const expected = "meanwhile early away "
      await until(() => [one, other].every(({ text }) => text.toString() === expected))
      const late = await join(docId)
      await until(() => late.text.toString() === expected)

      // What is known is not sent again.
      await until(() => [one, other, late].every(isSaved))
      const tail = async () => (await request(docId, "", { method: "HEAD" })).headers.get("stream-next-offset")
      const before = await tail()
      one.session.again()
      await until(() => one.session.state !== "saved")
      await until(() => isSaved(one))
      await sleep(200)
      equal(await tail(), before, "the end of the document")
      for (const { session } of [one, other, late]) session.leave()
    },

    "pages know each other by name": async () => {
      const docId = fresh()
      const pages = await Promise.all([join(docId), join(docId)])
      pages.forEach(({ session }, n) => session.tell("user", { name: `page ${n}` }))
      const names = ({ session }) => session.people.map(({ user }) => user?.name)
      await until(() => pages.every((page) => names(page).length === 2 && names(page).every(Boolean)))
      equal(pages.map(names), [["page 0", "page 1"], ["page 1", "page 0"]], "names")
      // Who comes back tells of itself again, and is there once.
      pages[0].session.again()
      await until(() => names(pages[0]).length === 2)
      await until(() => names(pages[1]).join() === "page 1,page 0")
      for (const { session } of pages) session.leave()
    },

    "a page says that its document was deleted, and does not make it anew": async () => {
      const docId = fresh()
      const page = await join(docId)
      await until(() => isSaved(page))
      equal((await request(docId, "", { method: "DELETE" })).status, 204, "DELETE")
      page.text.insert(0, "lost")
      await until(() => page.session.state === "deleted")
      await sleep(1500)
      equal((await request(docId, "", { method: "HEAD" })).status, 404, "the document")
      page.session.leave()
    },

    "a position stays where it is in the text, and changes are found": async () => {
      const { move, difference } = await moduleOf("textarea")
      const moves = [
        [5, [{ insert: "ab" }], 7],
        [5, [{ retain: 5 }, { insert: "ab" }], 5],
        [5, [{ retain: 2 }, { delete: 2 }], 3],
        [5, [{ retain: 2 }, { delete: 9 }], 2],
        [5, [{ delete: 1 }, { insert: "xyz" }, { retain: 1 }, { delete: 1 }], 6],
      ]
      for (const [position, delta, moved] of moves) {
        equal(move(position, delta), moved, JSON.stringify(delta))
      }
      const texts = ["", "a", "aa", "aba", "😀", "😁", "😀😁", "a😀b", "a😁b", "🁀", "😀😀"]
      for (const before of texts) {
        for (const after of texts) {
          const { index, removed, added } = difference(before, after)
          const what = `${before} to ${after}`
          const made = before.slice(0, index) + added + before.slice(index + removed)
          equal([made, added.isWellFormed()], [after, true], what)
          equal(before.slice(index, index + removed).isWellFormed(), true, what)
        }
      }
    },
  }
}
