// What the tail shows: the last so many messages, with a count of those before that were let go.

import { hex } from "./message.js"

/**
 * @typedef {object} Row
 * @property {number} id counted from 0 on
 * @property {number | null} position in the stream
 * @property {number | null} at when it came; null for what was there before
 * @property {string} [text]
 * @property {Uint8Array} [bytes]
 * @property {number} size
 * @property {boolean} [isOpen] whether more text of the same line may come
 * @property {number} [version] how often text was added to it
 */

/** So many rows are kept at most, and so many characters and bytes in them. */
export const MOST = 5000
const MOST_BYTES = 16 * 1024 * 1024
/** A line of text is broken where it gets longer. */
const LONGEST_LINE = 8192

const encoder = new TextEncoder()

export class Rows {
  constructor() {
    this.clear()
    this.wanted = ""
  }

  clear() {
    /** @type {Row[]} */
    this.all = []
    this.first = 0
    this.next = 0
    this.held = 0
    this.dropped = 0
    /** Ids of those that match, where somebody filters. @type {number[]} */
    this.matches = []
    this.firstMatch = 0
    /** How many have gone from the beginning of what is shown. */
    this.gone = 0
  }

  /** @param {Omit<Row, "id">} row @returns {Row} */
  push(row) {
    const added = { ...row, id: this.next }
    this.next += 1
    this.all.push(added)
    this.held += row.size
    if (this.wanted && this.isWanted(added)) this.matches.push(added.id)
    while (this.kept > MOST || (this.held > MOST_BYTES && this.kept > 1)) this.#drop()
    return added
  }

  /** Adds text, which goes on with the last line if that is not over. */
  pushText(text, position, at) {
    if (text === "") return
    for (const line of text.split(/(?<=\n)/)) {
      const isOver = line.endsWith("\n")
      let rest = isOver ? line.slice(0, -1) : line
      do {
        const last = this.all.at(-1)
        const row = last?.isOpen ? last : this.push({ text: "", position, at, size: 0, isOpen: true, version: 0 })
        const part = rest.slice(0, LONGEST_LINE - row.text.length)
        this.#extend(row, part)
        rest = rest.slice(part.length)
        // Where lines end with CR and LF this is a little short until the next piece.
        if (position !== null) position += encoder.encode(part).length
        row.isOpen = rest === "" && !isOver
      } while (rest !== "")
      if (position !== null) position += 1
    }
  }

  #extend(row, text) {
    row.text += text
    row.size += text.length
    row.version += 1
    this.held += text.length
    if (this.wanted && this.matches.at(-1) !== row.id && this.isWanted(row)) this.matches.push(row.id)
  }

  /** Rows that are kept. */
  get kept() {
    return this.all.length - this.first
  }

  /** Shows those alone that have this text in them, in any case. */
  filter(text) {
    this.wanted = text.toLowerCase()
    this.matches = []
    this.firstMatch = 0
    if (this.wanted === "") return
    for (let at = this.first; at < this.all.length; at += 1) {
      if (this.isWanted(this.all[at])) this.matches.push(this.all[at].id)
    }
  }

  isWanted(row) {
    const text = row.text ?? hex(row.bytes)
    return text.toLowerCase().includes(this.wanted)
  }

  /** How many are shown. */
  get length() {
    return this.wanted ? this.matches.length - this.firstMatch : this.kept
  }

  /** The row that is shown at a place, from 0 on. @returns {Row | undefined} */
  at(place) {
    return this.wanted ? this.byId(this.matches[this.firstMatch + place]) : this.all[this.first + place]
  }

  /** @returns {Row | undefined} */
  byId(id) {
    const oldest = this.all[this.first]
    return oldest === undefined || id < oldest.id ? undefined : this.all[this.first + id - oldest.id]
  }

  /** At which place a row is shown; -1 if it is not. */
  placeOf(id) {
    const oldest = this.all[this.first]
    if (oldest === undefined) return -1
    if (!this.wanted) return id < oldest.id || id >= this.next ? -1 : id - oldest.id
    const found = this.matches.indexOf(id, this.firstMatch)
    return found < 0 ? -1 : found - this.firstMatch
  }

  #drop() {
    const row = this.all[this.first]
    this.all[this.first] = /** @type {any} */ (undefined)
    this.first += 1
    this.held -= row.size
    this.dropped += 1
    if (!this.wanted) this.gone += 1
    else if (this.matches[this.firstMatch] === row.id) {
      this.firstMatch += 1
      this.gone += 1
    }
    // The room of what is gone is given back now and then, not with each.
    if (this.first > MOST) {
      this.all.splice(0, this.first)
      this.first = 0
    }
    if (this.firstMatch > MOST) {
      this.matches.splice(0, this.firstMatch)
      this.firstMatch = 0
    }
  }
}
