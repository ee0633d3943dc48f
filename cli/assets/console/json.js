// JSON as it is written: checked with the place of what is wrong, taken apart and laid out without a change
// to any number or text in it.

/** So deep may values lie in each other. */
const DEPTH = 500
/** Lines are not moved further to the right than so many levels: there may be a million in a message. */
const STEPS = 32

/**
 * What is wrong with a text that should be JSON, and where; null if nothing is.
 * @param {string} text
 * @returns {{ message: string, at: number, line: number, column: number } | null}
 */
export function check(text) {
  try {
    const end = value(text, space(text, 0), 0)
    const rest = space(text, end)
    if (rest < text.length) throw new Wrong("nothing may follow the value; several messages go into an array", rest)
    return null
  } catch (error) {
    if (!(error instanceof Wrong)) throw error
    return { message: error.message, at: error.at, ...lineOf(text, error.at) }
  }
}

class Wrong extends Error {
  constructor(message, at) {
    super(message)
    this.at = at
  }
}

/** Line and column of a place, both from 1; columns count characters. */
function lineOf(text, at) {
  const before = text.slice(0, at)
  const start = before.lastIndexOf("\n") + 1
  return { line: before.split("\n").length, column: [...before.slice(start)].length + 1 }
}

const SPACE = /[ \t\r\n]*/y
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const WORD = /true|false|null/y
const ESCAPE = /\\(["\\/bfnrt]|u[0-9a-fA-F]{4})/y

function match(pattern, text, at) {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : -1
}

const space = (text, at) => match(SPACE, text, at)

/** What stands at a place, in words. */
function found(text, at) {
  if (at >= text.length) return "the text ends here"
  const one = String.fromCodePoint(text.codePointAt(at))
  return one === "\n" || one === "\r" ? "the line ends here" : `here is ${one}`
}

/** Each of these takes where something begins, and gives where it ends. */
function value(text, at, depth) {
  if (depth > DEPTH) throw new Wrong(`values lie in each other more than ${DEPTH} deep`, at)
  const one = text[at]
  if (one === "{") return members(text, at, depth)
  if (one === "[") return items(text, at, depth)
  if (one === '"') return string(text, at)
  if (one === "'") throw new Wrong('texts stand in double quotes "…"', at)
  const end = Math.max(match(NUMBER, text, at), match(WORD, text, at))
  const word = text.slice(at, at + 60).match(/^[\w.+-]+/)?.[0]
  if (word && word.length > end - at) throw new Wrong(`${word} is no value`, at)
  if (end < 0) throw new Wrong(`a value is expected, and ${found(text, at)}`, at)
  return end
}

function items(text, at, depth) {
  let next = space(text, at + 1)
  if (text[next] === "]") return next + 1
  for (;;) {
    next = space(text, value(text, next, depth + 1))
    if (text[next] === "]") return next + 1
    if (text[next] !== ",") throw new Wrong(`a comma or ] is expected, and ${found(text, next)}`, next)
    next = space(text, next + 1)
    if (text[next] === "]") throw new Wrong("a value is expected after the comma", next)
  }
}

function members(text, at, depth) {
  let next = space(text, at + 1)
  if (text[next] === "}") return next + 1
  for (;;) {
    if (text[next] !== '"') throw new Wrong(`a name in double quotes is expected, and ${found(text, next)}`, next)
    next = space(text, string(text, next))
    if (text[next] !== ":") throw new Wrong(`a colon is expected, and ${found(text, next)}`, next)
    next = space(text, value(text, space(text, next + 1), depth + 1))
    if (text[next] === "}") return next + 1
    if (text[next] !== ",") throw new Wrong(`a comma or } is expected, and ${found(text, next)}`, next)
    next = space(text, next + 1)
    if (text[next] === "}") throw new Wrong("a name is expected after the comma", next)
  }
}

function string(text, start) {
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === 0x22) return at + 1
    if (code < 0x20) throw new Wrong("the text does not end in its line; a line break in it is \\n", at)
    if (code !== 0x5c) continue
    const end = match(ESCAPE, text, at)
    if (end < 0) throw new Wrong(`${text.slice(at, at + 2)} means nothing in a text`, at)
    at = end - 1
  }
  throw new Wrong("the text that begins here does not end", start)
}

/** Where a text of well-formed JSON ends that begins at `at`: behind its last quote. */
function behind(text, at) {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes += 1
    if (slashes % 2 === 0) return end + 1
  }
  return text.length
}

/**
 * The elements of a well-formed array, as they are written. What is no array is its own only element.
 * @param {string} text
 * @returns {Generator<string>}
 */
export function* elements(text) {
  const open = space(text, 0)
  if (text[open] !== "[") return yield text.trim()
  let depth = 0
  let start = open + 1
  for (let at = start; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === 0x22) at = behind(text, at) - 1
    else if (code === 0x5b || code === 0x7b) depth += 1
    else if ((code === 0x5d || code === 0x7d) && depth > 0) depth -= 1
    else if (depth === 0 && (code === 0x2c || code === 0x5d)) {
      const element = text.slice(start, at).trim()
      if (element !== "") yield element
      if (code === 0x5d) return
      start = at + 1
    }
  }
}

/** Well-formed JSON over lines, two spaces deeper for each level, as far as that can be read. */
export function pretty(text) {
  let shown = ""
  let depth = 0
  const line = () => `\n${"  ".repeat(Math.min(depth, STEPS))}`
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at]
    if (one === '"') {
      const end = behind(text, at)
      shown += text.slice(at, end)
      at = end - 1
    } else if (one === "{" || one === "[") {
      const next = space(text, at + 1)
      if (text[next] === "}" || text[next] === "]") {
        shown += one + text[next]
        at = next
      } else {
        depth += 1
        shown += one + line()
      }
    } else if (one === "}" || one === "]") {
      depth -= 1
      shown += line() + one
    } else if (one === ",") shown += one + line()
    else if (one === ":") shown += ": "
    else if (!/\s/.test(one)) shown += one
  }
  return shown
}
