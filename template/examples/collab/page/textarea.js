// A textarea that shows a text of Yjs, and changes it.

/** Binds them to each other. What others write in the middle of a composition ends that. */
export function bind(textarea, text) {
  let shown = text.toString()
  textarea.value = shown

  textarea.addEventListener("input", () => {
    const { index, removed, added } = difference(shown, textarea.value)
    shown = textarea.value
    text.doc.transact(() => {
      text.delete(index, removed)
      text.insert(index, added)
    }, textarea)
  })

  text.observe((event, { origin }) => {
    if (origin === textarea) return
    const { selectionStart, selectionEnd, selectionDirection, scrollTop } = textarea
    const moved = [selectionStart, selectionEnd].map((position) => move(position, event.delta))
    shown = text.toString()
    textarea.value = shown
    textarea.setSelectionRange(...moved, selectionDirection)
    textarea.scrollTop = scrollTop
  })
}

/** Where a position is after a change. */
export function move(position, delta) {
  let index = 0
  for (const { retain = 0, insert = "", delete: removed = 0 } of delta) {
    index += retain
    if (index >= position) break
    position += insert.length - Math.min(removed, position - index)
    index += insert.length
  }
  return position
}

/** What has to be changed at one place to make one text of another. */
export function difference(before, after) {
  let start = 0
  const shorter = Math.min(before.length, after.length)
  while (start < shorter && before[start] === after[start]) start++
  // Both halves of a character beyond U+FFFF are changed, or none.
  if (start > 0 && isFirstHalf(before, start - 1)) start--
  let end = 0
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++
  if (end > 0 && isSecondHalf(before, before.length - end)) end--
  return {
    index: start,
    removed: before.length - end - start,
    added: after.slice(start, after.length - end),
  }
}

const isFirstHalf = (text, index) => (text.charCodeAt(index) & 0xfc00) === 0xd800
const isSecondHalf = (text, index) => (text.charCodeAt(index) & 0xfc00) === 0xdc00
