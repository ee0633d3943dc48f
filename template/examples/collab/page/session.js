// Keeps a document of the page and the server's the same, by the provider of Durable Streams.
//
// The provider sends what is written while it is connected, and nothing else: what was written before,
// or could not be sent at once, would stay in this page alone. So it has a replica of its own, which has nothing
// but what it read or sent. Whenever it has read all, the replica gets what the page has beyond that;
// and when something goes wrong, both are given up for new ones. Updates of Yjs do no harm when they
// are there twice.
import { Awareness, Y, YjsProvider } from "./libraries.js"

/** In milliseconds. */
const FIRST_RETRY = 500
const LAST_RETRY = 15_000

/**
 * Joins the document `docId` below `baseUrl`. `changed` is called when something that can be asked of
 * the session has changed, but for the text itself: that is in `doc`.
 */
export function join({ doc, baseUrl, docId, changed = () => {} }) {
  /** What this page tells of itself. */
  const told = {}
  let part
  let retry = FIRST_RETRY
  let timer
  let trouble
  let isDeleted = false

  function connect() {
    const replica = new Y.Doc()
    const awareness = new Awareness(replica)
    const provider = new YjsProvider({ doc: replica, awareness, baseUrl, docId, connect: false })
    const mine = { replica, awareness, provider, isWhole: false }
    part = mine
    awareness.setLocalState({ ...told })
    awareness.on("change", changed)
    replica.on("update", (update, origin) => {
      if (origin !== doc) Y.applyUpdate(doc, update, replica)
    })
    provider.on("status", changed)
    provider.on("synced", (isSynced) => {
      if (isSynced && !mine.isWhole) {
        mine.isWhole = true
        retry = FIRST_RETRY
        trouble = undefined
        const missing = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(replica))
        Y.applyUpdate(replica, missing, doc)
      }
      changed()
    })
    provider.on("error", (error) => {
      if (part !== mine) return
      trouble = error
      isDeleted = mine.isWhole && (error.status === 404 || error.code === "NOT_FOUND")
      disconnect()
      if (isDeleted) return
      timer = setTimeout(connect, retry)
      retry = Math.min(2 * retry, LAST_RETRY)
    })
    provider.connect()
    // After some errors it would come back by itself, and make a document anew that was deleted.
    provider.connect = async () => {}
  }

  function disconnect() {
    clearTimeout(timer)
    const { provider, awareness, replica } = part ?? {}
    part = undefined
    provider?.destroy()
    awareness?.destroy()
    replica?.destroy()
    changed()
  }

  function send(update, origin) {
    if (part?.isWhole && origin !== part.replica) Y.applyUpdate(part.replica, update, doc)
  }

  doc.on("update", send)
  connect()

  return {
    /** "connecting"; "saved" when the server has all of this page, "saving" until it says so. */
    get state() {
      if (isDeleted) return "deleted"
      if (!part?.provider.connected) return "connecting"
      return part.provider.synced ? "saved" : "saving"
    },
    /** What went wrong last, until it goes well again. */
    get trouble() {
      return trouble
    },
    /** What the pages tell of themselves, that of this one first. */
    get people() {
      const others = [...(part?.awareness.getStates() ?? [])]
      const isOther = ([id]) => id !== part.awareness.clientID
      return [told, ...others.filter(isOther).map(([, state]) => state)]
    },
    /** Tells the others something of this page, as in `tell("user", { name: "Ada" })`. */
    tell(field, value) {
      told[field] = value
      part?.awareness.setLocalStateField(field, value)
    },
    /** Begins anew, without waiting: the network is back. */
    again() {
      if (isDeleted) return
      disconnect()
      connect()
    },
    /** Tells the others that this page is gone. */
    leave() {
      doc.off("update", send)
      disconnect()
    },
  }
}
