// The page: a text, and who else is there.
import { Y } from "./libraries.js"
import { join } from "./session.js"
import { bind } from "./textarea.js"

const [textarea, nameField, state, people] = ["text", "name", "state", "people"].map((id) =>
  document.getElementById(id),
)
/** `#minutes` at the end of the page's URL is another document than `#plan`. */
const docId = decodeURIComponent(location.hash.slice(1)) || "welcome"
addEventListener("hashchange", () => location.reload())

const doc = new Y.Doc()
const text = doc.getText("text")
const baseUrl = `${location.origin}/yjs`
const session = join({ doc, baseUrl, docId, changed: () => queueMicrotask(show) })
bind(textarea, text)

// Each tab is somebody, who is the same after a reload.
const user = JSON.parse(sessionStorage.getItem("user")) ?? {
  name: `Guest ${Math.floor(Math.random() * 900) + 100}`,
  color: `hsl(${Math.floor(Math.random() * 360)} 70% 35%)`,
}
nameField.value = user.name
nameField.addEventListener("input", introduce)
introduce()

function introduce() {
  user.name = nameField.value
  sessionStorage.setItem("user", JSON.stringify(user))
  session.tell("user", { ...user })
  show()
}

// Where this page is in the text, told a few times in a second at most.
let timer
document.addEventListener("selectionchange", () => {
  if (document.activeElement !== textarea) return
  timer ??= setTimeout(() => {
    timer = undefined
    const cursor = Y.createRelativePositionFromTypeIndex(text, textarea.selectionStart)
    session.tell("cursor", Y.relativePositionToJSON(cursor))
  }, 300)
})

function show() {
  state.textContent = situation()
  people.replaceChildren(
    ...session.people.map(({ user, cursor }, index) => {
      const item = document.createElement("li")
      item.textContent = [user?.name || "Somebody", index === 0 && "(you)", place(cursor)]
        .filter(Boolean)
        .join(" ")
      item.style.backgroundColor = user?.color
      return item
    }),
  )
}

function situation() {
  if (!navigator.onLine) return "Offline. What you write is sent when the network is back."
  if (session.state === "deleted") return "This document was deleted. Nothing is saved any more."
  if (session.trouble) return `Trying again: ${session.trouble.message}`
  return { connecting: "Connecting…", saving: "Saving…", saved: "Saved" }[session.state]
}

/** The line in which somebody is. */
function place(cursor) {
  try {
    const position = Y.createRelativePositionFromJSON(cursor)
    const { index } = Y.createAbsolutePositionFromRelativePosition(position, doc)
    return `· line ${text.toString().slice(0, index).split("\n").length}`
  } catch {
    // Nowhere yet, or at a place that has not arrived here.
    return undefined
  }
}

text.observe(() => queueMicrotask(show))
addEventListener("offline", show)
addEventListener("online", () => session.again())
addEventListener("pagehide", () => session.leave())
addEventListener("pageshow", (event) => event.persisted && location.reload())
addEventListener("beforeunload", (event) => {
  if (session.state !== "saved") event.preventDefault()
})
