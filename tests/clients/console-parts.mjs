// The parts of the console's page that need no browser: node console-parts.mjs FOLDER, where the page's
// files are. Prints a line of JSON for each check.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "./checks.mjs"
import { equal } from "./control.mjs"

// Node.js takes them for modules where this is said.
const folder = mkdtempSync(join(tmpdir(), "console-"))
process.on("exit", () => rmSync(folder, { recursive: true }))
cpSync(process.argv[2], folder, { recursive: true })
writeFileSync(join(folder, "package.json"), '{"type":"module"}')
const part = (name) => import(join(folder, `${name}.js`))
const { check, elements, pretty } = await part("json")
const { Rows, MOST } = await part("rows")
const { costOf } = await part("api")
const { events } = await part("sse")
const { href, parse } = await part("router")
const { bytes, offsetAt, position, span } = await part("format")
const { follow } = await part("reader")

/** What is done while this answers all requests, each with its method and URL. */
async function answered(fetch, work) {
  const before = globalThis.fetch
  globalThis.fetch = async (url, { method }) => fetch(method, url)
  try {
    return await work()
  } finally {
    globalThis.fetch = before
  }
}

let seed = Number(process.env.SEED ?? 1)
/** A number below another one, the same in each run. */
function chance(below) {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
  return (seed >> 8) % below
}

function value(depth = 0) {
  const kinds = [
    () => chance(1e6) / 8 - 500,
    () => ["", "a", '"\\', "\u2028é😀\n\u0001", "[,]{:}"][chance(5)],
    () => [null, true, false][chance(3)],
    () => Array.from({ length: chance(4) }, () => value(depth + 1)),
    () => Object.fromEntries(Array.from({ length: chance(4) }, (_, n) => [`k${n}"`, value(depth + 1)])),
  ]
  return kinds[chance(depth > 4 ? 3 : kinds.length)]()
}

const isJson = (text) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const checks = {
  "JSON that is wrong is wrong at its place": async () => {
    for (const [text, line, column, message] of [
      ["", 1, 1, "a value is expected, and the text ends here"],
      ["nul", 1, 1, "nul is no value"],
      ['{"a": 12,5}', 1, 10, "a name in double quotes is expected, and here is 5"],
      ['{"é😀": 1\n "b": 2}', 2, 2, 'a comma or } is expected, and here is "'],
      ["[1,\n2,\n]", 3, 1, "a value is expected after the comma"],
      ['"a\nb"', 1, 3, "the text does not end in its line; a line break in it is \\n"],
      ["1 2", 1, 3, "nothing may follow the value; several messages go into an array"],
      ["01", 1, 1, "01 is no value"],
      ["{'a': 1}", 1, 2, "a name in double quotes is expected, and here is '"],
      ['["\\x"]', 1, 3, "\\x means nothing in a text"],
      ["[".repeat(600), 1, 502, "values lie in each other more than 500 deep"],
    ]) {
      const wrong = check(text)
      equal([wrong.line, wrong.column, wrong.message], [line, column, message], text.slice(0, 40))
    }
  },

  "JSON is right just where it can be read": async () => {
    const pieces = ['"', "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "-", "e", "1.5", "true", "\u0000", "\ufeff"]
    for (let n = 0; n < 20_000; n += 1) {
      let text = JSON.stringify(value(), null, chance(2))
      for (let times = chance(3); times > 0; times -= 1) {
        const at = chance(text.length + 1)
        text = text.slice(0, at) + (chance(2) ? pieces[chance(pieces.length)] : "") + text.slice(at + chance(2))
      }
      equal(check(text) === null, isJson(text), text)
    }
  },

  "an array comes apart, and a value is laid out, without a change": async () => {
    for (let n = 0; n < 5000; n += 1) {
      const values = Array.from({ length: chance(5) }, () => value())
      const texts = values.map((one) => JSON.stringify(one))
      equal([...elements(JSON.stringify(values))], texts, "elements")
      equal([...elements(JSON.stringify(values, null, 2))].map((one) => JSON.parse(one)), values, "with white space")
      for (const text of texts) equal(pretty(text), JSON.stringify(JSON.parse(text), null, 2), text)
    }
    equal([...elements("[12345678901234567890, 1.10]")], ["12345678901234567890", "1.10"], "numbers as they are")
    equal(pretty('{"a":1.10}'), '{\n  "a": 1.10\n}', "a number as it is")
  },

  "a message of a million levels is laid out all the same": async () => {
    const deep = 500_000
    const shown = pretty(`${"[".repeat(deep)}1${"]".repeat(deep)}`)
    equal(shown.replace(/\s/g, "").length, 2 * deep + 1, "all of it")
  },

  "who may read a stream and is not shown all of it is shown what HEAD says": async () => {
    for (const status of [401, 403, 404]) {
      // One that has not asked before.
      const { inspect } = await import(join(folder, `inspect.js?${status}`))
      const stream = await answered(
        (method) => new Response(null, method === "HEAD" ? { headers: { "Content-Type": "text/plain", "Stream-Next-Offset": "7" } } : { status }),
        () => inspect(null, "a"))
      equal([stream.contentType, stream.tail], ["text/plain", "7"], `${status}`)
    }
    const { inspect } = await import(join(folder, "inspect.js?refused"))
    const said = { error: { code: "unauthorized", message: "the token has ended" } }
    const refuse = (method) => new Response(method === "HEAD" ? null : JSON.stringify(said), { status: 401 })
    const message = await answered(refuse, () => inspect(null, "a").catch((error) => error.message))
    equal(message, "the token has ended", "why")
  },

  "a server that says nothing is not asked without end": async () => {
    const stop = new AbortController()
    let asked = 0
    const states = []
    const on = { item() {}, state: (state) => states.push(state) }
    setTimeout(() => stop.abort(), 300)
    await answered(() => ((asked += 1), asked > 50 && stop.abort(), new Response("[]")), () => follow("a", "application/json", "-1", on, stop.signal))
    equal([asked, states.at(-1)], [1, "away"], "requests")
  },

  "the last rows are kept, and found by what is in them": async () => {
    const rows = new Rows()
    rows.filter("7")
    for (let n = 0; n < MOST + 2500; n += 1) rows.push({ text: `n ${n}`, position: n, at: null, size: 6 })
    equal([rows.kept, rows.dropped], [MOST, 2500], "rows")
    const expected = Array.from({ length: MOST }, (_, n) => n + 2500).filter((n) => `${n}`.includes("7"))
    equal([rows.length, rows.at(0).position, rows.at(rows.length - 1).position], [expected.length, expected[0], expected.at(-1)], "those with a 7")
    for (const place of [0, 5, rows.length - 1]) equal(rows.placeOf(rows.at(place).id), place, "its place")
    equal(rows.placeOf(3), -1, "one that is gone")
    rows.filter("")
    equal([rows.length, rows.at(0).position], [MOST, 2500], "all")
    rows.push({ text: "x".repeat(17 * 1024 * 1024), position: 0, at: null, size: 17 * 1024 * 1024 })
    equal(rows.kept, 1, "one that is larger than all there is room for")
  },

  "text is put together again, line by line": async () => {
    const text = Array.from({ length: 300 }, (_, n) => `${"é".repeat(n % 7)}${n}`).join("\n")
    const rows = new Rows()
    for (let at = 0; at < text.length; ) {
      const length = 1 + chance(20)
      rows.pushText(text.slice(at, at + length), Buffer.byteLength(text.slice(0, at)), null)
      at += length
    }
    equal(rows.all.map((row) => row.text), text.split("\n"), "lines")
    let start = 0
    for (const row of rows.all) {
      equal(row.position, start, row.text)
      start += Buffer.byteLength(row.text) + 1
    }
    const long = new Rows()
    long.pushText("y".repeat(20_000), 0, null)
    long.pushText("z\n", 20_000, null)
    equal(long.all.map((row) => row.text.length), [8192, 8192, 3617], "a line that is too long")
  },

  "events are read wherever they are cut": async () => {
    const text = ": hello\n\nevent: data\ndata: [1,\ndata:é]\nid: 7\n\nevent: control\r\ndata: {}\r\n\r\ndata\n\n"
    const all = new TextEncoder().encode(text)
    for (const size of [1, 2, 3, 7, 1000]) {
      const parts = Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))
      const body = new ReadableStream({ start: (to) => (parts.forEach((one) => to.enqueue(one)), to.close()) })
      const seen = []
      for await (const event of events(body)) seen.push(`${event.event} ${event.data}`)
      equal(seen, ["data [1,\né]", "control {}", "message "], `in parts of ${size}`)
    }
  },

  "costs, addresses and offsets are read as they are written": async () => {
    const timing = 'edge;dur=4.000, object;dur=2, sql;dur=0.5, rows_written;desc="1", rows_read;desc="3", other;dur=9'
    equal(costOf(timing), { edge: 4, object: 2, sql: 0.5, rowsWritten: 1, rowsRead: 3 }, "costs")
    equal(costOf(""), {}, "no costs")
    for (const path of ["a", "a/b/", "é/#?%/ ü", ""]) {
      for (const project of [null, "shop"]) {
        equal(parse(href("stream", project, path), project), { view: "stream", project, path }, path)
      }
    }
    equal(parse(href("subscriptions", "shop", "a/b:c"), "shop").path, "a/b:c", "an id with a slash")
    equal(parse("#/nothing", "shop"), { view: "streams", project: "shop", path: "" }, "no view")
    equal([position(offsetAt(12)), position("0000000000000000_0000000000000012"), position("x"), position(null)], [12, 12, null, null], "offsets")
    equal([bytes(999), bytes(1234), bytes(5e9), span(93_784)], ["999 B", "1.2 kB", "5.0 GB", "1 d 2 h"], "sizes and spans")
  },
}

await run(checks, (result) => console.log(JSON.stringify(result)))
