// The part of Analytics Engine's SQL that its reference describes and the program uses; everything else
// is refused.

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|'((?:[^']|'')*)'|([A-Za-z_]\w*)|(<>|<=|>=|!=|[(),*/+\-=<>]))/y
const SECONDS = { SECOND: 1, MINUTE: 60, HOUR: 3600, DAY: 86_400 }

function tokens(text) {
  const found = []
  TOKEN.lastIndex = 0
  while (text.slice(TOKEN.lastIndex).trim() !== "") {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (!match) throw new Error(`unexpected text at ${at}: ${text.slice(at, at + 20)}`)
    const [, number, string, word, sign] = match
    if (number !== undefined) found.push({ number: Number(number) })
    else if (string !== undefined) found.push({ string: string.replaceAll("''", "'") })
    else found.push({ word: word ?? sign })
  }
  return found
}

/** Functions of a row, and of the rows of a group. */
const functions = {
  toStartOfInterval: ([time, seconds]) => Math.floor(time / seconds) * seconds,
  toUnixTimestamp: ([time]) => time,
  toDateTime: ([seconds]) => seconds,
}
const aggregates = {
  SUM: (values) => values.reduce((sum, value) => sum + value, 0),
  MAX: (values) => Math.max(...values),
}
const operators = {
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "=": (a, b) => a === b,
  "<>": (a, b) => a !== b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  AND: (a, b) => a && b,
  OR: (a, b) => a || b,
}
const LEVELS = [["OR"], ["AND"], ["=", "<>", "<", ">", "<=", ">="], ["+", "-"], ["*", "/"]]

/** Reads a statement. */
class Reader {
  constructor(text) {
    this.tokens = tokens(text)
    this.at = 0
  }

  next() {
    const token = this.tokens[this.at++]
    if (!token) throw new Error("unexpected end of the statement")
    return token
  }

  takes(word) {
    const is = this.tokens[this.at]?.word?.toUpperCase() === word
    if (is) this.at += 1
    return is
  }

  expect(word) {
    if (!this.takes(word)) throw new Error(`expected ${word} before token ${this.at}`)
  }

  list(read) {
    const all = [read()]
    while (this.takes(",")) all.push(read())
    return all
  }

  /** What gives a value for a row and the group it stands for. */
  expression(level = 0) {
    if (level === LEVELS.length) return this.primary()
    let left = this.expression(level + 1)
    for (;;) {
      const sign = LEVELS[level].find((sign) => this.takes(sign))
      if (!sign) return left
      const [a, b] = [left, this.expression(level + 1)]
      left = (row, group) => operators[sign](a(row, group), b(row, group))
    }
  }

  primary() {
    const { number, string, word } = this.next()
    if (number !== undefined) return () => number
    if (string !== undefined) return () => string
    if (word === "(") {
      const inner = this.expression()
      this.expect(")")
      return inner
    }
    if (word.toUpperCase() === "INTERVAL") {
      const count = Number(this.next().string)
      const unit = SECONDS[this.next().word.toUpperCase()]
      if (!unit || !(count > 0)) throw new Error("no such interval")
      return () => count * unit
    }
    if (!this.takes("(")) return this.column(word)
    const inner = this.list(() => this.expression())
    this.expect(")")
    const aggregate = aggregates[word.toUpperCase()]
    if (aggregate) return (_, group) => aggregate(group.map((row) => inner[0](row, [row])))
    const apply = functions[word]
    if (!apply) throw new Error(`unknown function: ${word}`)
    return (row, group) => apply(inner.map((one) => one(row, group)))
  }

  column(name) {
    return (row) => {
      if (!(name in row)) throw new Error(`unable to find type of column: ${name}`)
      return row[name]
    }
  }
}

function parse(text) {
  const reader = new Reader(text)
  reader.expect("SELECT")
  const columns = reader.list(() => {
    const value = reader.expression()
    reader.expect("AS")
    return [reader.next().word, value]
  })
  reader.expect("FROM")
  const table = reader.next().word
  reader.expect("WHERE")
  const where = reader.expression()
  reader.expect("GROUP")
  reader.expect("BY")
  const by = reader.list(() => reader.next().word)
  let order
  if (reader.takes("ORDER")) {
    reader.expect("BY")
    order = reader.next().word
    reader.expect("DESC")
  }
  const limit = reader.takes("LIMIT") ? reader.next().number : Infinity
  if (reader.at !== reader.tokens.length) throw new Error(`unexpected token ${reader.at}`)
  return { columns, table, where, by, order, limit }
}

/** The rows that a statement finds in tables, each of which has rows by its name. */
export function run(text, tables) {
  const { columns, table, where, by, order, limit } = parse(text)
  if (!tables[table]) throw new Error(`unknown table: ${table}`)
  const groups = new Map()
  for (const row of tables[table].filter((row) => where(row, [row]))) {
    const named = Object.fromEntries(columns)
    const key = JSON.stringify(by.map((name) => named[name](row, [row])))
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const found = [...groups.values()].map((group) =>
    Object.fromEntries(columns.map(([name, value]) => [name, value(group[0], group)])),
  )
  if (order) found.sort((a, b) => b[order] - a[order])
  // Whole numbers of 64 bits come as texts.
  const written = (value) => (Number.isInteger(value) ? String(value) : value)
  const texts = ([name, value]) => [name, written(value)]
  return found.slice(0, limit).map((row) => Object.fromEntries(Object.entries(row).map(texts)))
}
