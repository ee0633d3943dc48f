// What subscriptions of type copy bring to their target: all of it, once, in order.
import { sleep } from "./checks.mjs"
import { Root, equal, eventually, expect, fresh } from "./control.mjs"

const BYTES = "application/octet-stream"

/** A subscription that copies into a stream. */
export const copying = (root, target, more) =>
  root.subscribe({ type: "copy", target_stream: target, ...more })

/** A new JSON stream for copies, and where sources of it may be. */
export async function place(root) {
  const name = fresh("copies")
  await root.create(`${name}-inbox`)
  return { name, target: `${name}-inbox`, of: (path) => `${name}/${path}` }
}

/** Waits until a stream holds so many messages that count, and gives them. */
export async function arrived(root, target, count, counts = () => true) {
  let messages = []
  await eventually(`${count} messages in ${target}`, async () => {
    messages = (await root.read(target)).messages.filter(counts)
    return messages.length >= count
  }, 30_000)
  return messages
}

/** Waits until a stream holds just these messages, and sees to it that no other comes. */
export async function holds(root, target, expected, what) {
  equal(await arrived(root, target, expected.length), expected, what)
  await sleep(400)
  equal((await root.read(target)).messages, expected, `${what}, later`)
}

/** A request with a body of bytes. */
export async function send(root, method, path, type, bytes, headers = {}) {
  const answer = await fetch(`${root.url}/${path}`, {
    method,
    headers: { Connection: "close", "Content-Type": type, ...root.headers, ...headers },
    body: bytes,
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer
}

/** All bytes of a stream. */
export async function bytesOf(root, path) {
  const parts = []
  for (let offset = "-1"; ; ) {
    const answer = await fetch(`${root.url}/${path}?offset=${offset}`, {
      headers: { Connection: "close", ...root.headers },
    })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    parts.push(Buffer.from(await answer.arrayBuffer()))
    offset = answer.headers.get("stream-next-offset")
    if (answer.headers.get("stream-up-to-date")) return Buffer.concat(parts)
  }
}

/** The messages of each stream in envelopes. */
export function bySource(envelopes) {
  const sources = {}
  for (const { stream, data } of envelopes) (sources[stream] ??= []).push(data)
  return sources
}

const numbers = (start, end) => Array.from({ length: end - start }, (_, n) => start + n)

/** The checks, for a server at `server`. */
export function checks(server) {
  const root = new Root(server)

  return {
    "who subscribes late gets all that comes, from the first on": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0])
      for (const n of [1, 2, 3]) await root.append(of("a"), n)
      await copying(root, target, { streams: [of("a")] })
      for (const n of [4, 5, 6]) await root.append(of("a"), n)
      await holds(root, target, [4, 5, 6], "what was appended since")
    },

    "making a subscription writes nothing into the target": async () => {
      const name = fresh("copies")
      const [target, source] = [`${name}-inbox`, `${name}/a`]
      await root.create(target, [], { "Stream-TTL": "600" })
      await root.create(source, [0])
      const before = await root.tail(target)
      const config = { type: "copy", target_stream: target, streams: [source] }
      const subscription = await root.subscribe(config)
      expect(await subscription.put(config), 200)
      expect(await subscription.add([`${name}/b`]), 204)
      equal(await root.tail(target), before, "the tail")
      const head = expect(await root.ask("HEAD", target), 200)
      equal(head.headers.get("stream-ttl"), "600", "the TTL")
      await holds(root, target, [], "nothing")
    },

    "a stream that is created with content is copied with it": async () => {
      const { name, target, of } = await place(root)
      await copying(root, target, { streams: [of("named")], pattern: `${name}/**` })
      await root.create(of("named"), [1, 2])
      await arrived(root, target, 2)
      await root.create(of("deep/er"), [3, 4])
      await arrived(root, target, 4)
      await root.append(of("deep/er"), 5)
      await holds(root, target, [1, 2, 3, 4, 5], "all of both")
    },

    "an append that is refused leaves no gap": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      await copying(root, target, { streams: [of("a")] })
      const as = (seq) => ({ "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": `${seq}` })
      const append = (n, headers) => root.ask("POST", of("a"), JSON.stringify([n]), headers)
      expect(await append(0, as(0)), 200)
      expect(await append(9, as(7)), 409, "sequence_gap")
      expect(await append(9, as(0)), 204)
      expect(await append(9, { "If-Match": '"0000000000000000_0000000000000000_0000"' }), 412, "overtaken")
      expect(await append(1, as(1)), 200)
      await root.append(of("a"), 2)
      await holds(root, target, [0, 1, 2], "what was accepted")
    },

    "what comes faster than it can be copied is all copied, in the order of each stream": async () => {
      const { name, target, of } = await place(root)
      const paths = numbers(0, 60).map((n) => of(`${n}`))
      for (const path of paths.slice(0, 40)) await root.create(path)
      await copying(root, target, { pattern: `${name}/*`, envelope: true })
      for (const path of paths.slice(40)) await root.create(path)
      await Promise.all(
        paths.map(async (path) => {
          for (const n of numbers(0, 20)) await root.append(path, n)
        }),
      )
      const sources = bySource(await arrived(root, target, 1200))
      for (const path of paths) equal(sources[path], numbers(0, 20), path)
      await sleep(400)
      equal((await root.read(target)).messages.length, 1200, "copies in all")
    },

    "a stream with more subscriptions than are told at once brings them all up to date": async () => {
      const name = fresh("copies")
      await root.create(`${name}/a`)
      const targets = numbers(0, 70).map((n) => `${name}-inbox/${n}`)
      for (const target of targets) {
        await root.create(target)
        await copying(root, target, { streams: [`${name}/a`] })
      }
      for (const n of [1, 2, 3]) await root.append(`${name}/a`, n)
      for (const target of targets) equal(await arrived(root, target, 3), [1, 2, 3], target)
    },

    "names may have any characters": async () => {
      const { name, target } = await place(root)
      const paths = ["it's", '"; DROP TABLE link; --', "é/日本/😀", "100%", "a b+c&d=e?f#g", "%2e%2F"]
      const config = { streams: paths.map((path) => `${name}/${path}`), envelope: true }
      const subscription = await copying(root, target, config)
      const encoded = (path) => path.split("/").map(encodeURIComponent).join("/")
      for (const path of config.streams) await root.create(encoded(path), [path])
      const sources = bySource(await arrived(root, target, paths.length))
      for (const path of config.streams) equal(sources[path], [path], path)
      for (const path of config.streams) expect(await subscription.remove(path), 204)
      equal(await subscription.links(), [], "links")
    },

    "an envelope says which stream a message comes from, and where that goes on": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0])
      await root.create(of("b"))
      await copying(root, target, { streams: [of("a"), of("b")], envelope: true })
      const odd = { é: ["\u2028\u0000\u001f\\\"\n", 1e300, -0.5, null, true, {}, []], "": "😀" }
      for (const data of [odd, "text", 7, null, false, [[1], []]]) {
        await root.append(of("a"), data)
        await root.append(of("b"), data)
      }
      const messages = await arrived(root, target, 12)
      equal(Object.keys(messages[0]), ["stream", "offset", "data"], "fields")
      const expected = [odd, "text", 7, null, false, [[1], []]]
      equal(bySource(messages), { [of("a")]: expected, [of("b")]: expected }, "data")
      for (const [at, { stream, offset }] of messages.entries()) {
        const later = messages.slice(at + 1).filter((one) => one.stream === stream)
        const rest = (await root.read(stream, offset)).messages
        equal(rest, later.map(({ data }) => data), `${stream} behind ${offset}`)
      }
    },

    "an envelope holds bytes as base64, however they come": async () => {
      const { target, of } = await place(root)
      const all = Buffer.from(numbers(0, 1000).map((n) => (n * 7) % 256))
      await send(root, "PUT", of("bytes"), BYTES, all.subarray(0, 100))
      await send(root, "PUT", of("text"), "text/plain", "é")
      await copying(root, target, { streams: [of("bytes"), of("text")], envelope: true, from: "start" })
      for (const n of numbers(1, 10)) {
        await send(root, "POST", of("bytes"), BYTES, all.subarray(n * 100, n * 100 + 100))
      }
      await send(root, "POST", of("text"), "text/plain", "😀\r\n")
      const joined = (envelopes, stream) =>
        Buffer.concat(
          envelopes
            .filter((one) => one.stream === stream)
            .map(({ data, encoding }) => {
              equal(encoding, "base64", "encoding")
              return Buffer.from(data, "base64")
            }),
        )
      await eventually("all bytes", async () => {
        const { messages } = await root.read(target)
        const text = joined(messages, of("text")).toString()
        return joined(messages, of("bytes")).equals(all) && text === "é😀\r\n"
      })
      const { messages } = await root.read(target)
      const first = messages.find(({ stream }) => stream === of("bytes"))
      const rest = await fetch(`${root.url}/${of("bytes")}?offset=${first.offset}`, { headers: root.headers })
      const length = Buffer.from(first.data, "base64").length
      equal(Buffer.from(await rest.arrayBuffer()).equals(all.subarray(length)), true, "behind the offset")
    },

    "bytes and text are copied as they are into a stream of their type": async () => {
      const name = fresh("copies")
      for (const [type, contents] of [
        [BYTES, [Buffer.from([0, 255, 10, 13]), Buffer.alloc(300_000, 7), Buffer.from([1])]],
        ["text/plain", [Buffer.from("é\r"), Buffer.from("\n\ndata: x\n\n"), Buffer.from("😀")]],
      ]) {
        const [target, source] = [`${name}-${type.length}-inbox`, `${name}-${type.length}/a`]
        await send(root, "PUT", target, type)
        await send(root, "PUT", source, type, contents[0])
        await copying(root, target, { streams: [source], from: "start" })
        for (const content of contents.slice(1)) await send(root, "POST", source, type, content)
        const all = Buffer.concat(contents)
        await eventually(type, async () => (await bytesOf(root, target)).equals(all))
        await sleep(400)
        equal((await bytesOf(root, target)).length, all.length, `${type}, later`)
      }
    },

    "large messages and batches of ten thousand are copied whole": async () => {
      for (const envelope of [false, true]) {
        const { target, of } = await place(root)
        await root.create(of("a"), ["x".repeat(300_000)])
        await root.create(of("b"))
        await copying(root, target, { streams: [of("a"), of("b")], from: "start", envelope })
        const batches = [numbers(0, 10_000), numbers(10_000, 20_000)]
        for (const path of ["a", "b"]) {
          for (const batch of batches) {
            await root.ask("POST", of(path), batch.map((n) => ({ of: path, n })))
          }
        }
        await root.append(of("b"), { of: "b", text: "é".repeat(2_500_000) })
        await root.append(of("b"), { of: "b", n: "last" })
        const data = (await arrived(root, target, 40_003)).map((one) => (envelope ? one.data : one))
        equal(data.filter((one) => one.length === 300_000).length, 1, "a long text")
        const inOrder = (path) => data.filter((one) => one.of === path && one.n >= 0).map(({ n }) => n)
        for (const path of ["a", "b"]) equal(inOrder(path), numbers(0, 20_000), path)
        equal(data.find((one) => one.text)?.text.length, 2_500_000, "a message of 5 MB")
        equal(data.at(-1).n === "last" || data.filter(({ n }) => n === "last").length, true, "the last")
        equal(data.length, 40_003, "in all")
      }
    },

    "from the start is from the beginning of what is there, of forks too": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0, 1, 2])
      for (const n of numbers(3, 30)) await root.append(of("a"), n)
      expect(
        await root.ask("PUT", of("fork"), undefined, {
          "Content-Type": "application/json",
          "Stream-Forked-From": `${new URL(root.url).pathname}/${of("a")}`,
        }),
        201,
      )
      await root.append(of("fork"), "own")
      const streams = [of("a"), of("fork")]
      const subscription = await copying(root, target, { streams, from: "start", envelope: true })
      await arrived(root, target, 61)
      await root.append(of("a"), 30)
      const sources = bySource(await arrived(root, target, 62))
      const expected = { [of("a")]: numbers(0, 31), [of("fork")]: [...numbers(0, 30), "own"] }
      equal(sources, expected, "copies")
      await subscription.acked(of("a"), await root.tail(of("a")))
      await subscription.acked(of("fork"), await root.tail(of("fork")))
    },

    "what was truncated before it was copied is gone, and the rest is copied": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"), [0, 1, 2, 3, 4])
      const { messages } = await root.read(of("a"))
      equal(messages.length, 5, "messages")
      const middle = `${"0".repeat(16)}_${"3".padStart(16, "0")}`
      expect(await root.ask("POST", of("a"), undefined, { "Stream-Truncate-Before": middle }), 204)
      await copying(root, target, { streams: [of("a")], from: "start" })
      await root.append(of("a"), 5)
      await holds(root, target, [3, 4, 5], "what was left")
      const tail = await root.tail(of("a"))
      expect(await root.ask("POST", of("a"), undefined, { "Stream-Truncate-Before": tail }), 204)
      await root.append(of("a"), 6)
      await holds(root, target, [3, 4, 5, 6], "what came then")
    },

    "a stream that is added again goes on where it was, or at its tail": async () => {
      for (const [from, expected] of [
        ["now", [1, 2, 5]],
        ["start", [0, 1, 2, 3, 4, 5]],
      ]) {
        const { target, of } = await place(root)
        await root.create(of("a"), [0])
        await root.create(of("b"))
        const subscription = await copying(root, target, { streams: [of("a"), of("b")], from })
        for (const n of [1, 2]) await root.append(of("a"), n)
        await arrived(root, target, expected.indexOf(2) + 1)
        expect(await subscription.remove(of("a")), 204)
        for (const n of [3, 4]) await root.append(of("a"), n)
        await sleep(400)
        equal((await root.read(target)).messages.at(-1), 2, `${from}, while it is away`)
        expect(await subscription.add([of("a")]), 204)
        await root.append(of("a"), 5)
        await holds(root, target, expected, from)
      }
    },

    "copies wake who waits for the target, and who reads it hears of them at once": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      await copying(root, target, { streams: [of("a")] })
      const wake_stream = fresh("wakes")
      await root.create(wake_stream)
      const waking = await root.subscribe({ type: "pull-wake", wake_stream, streams: [target] })
      const tail = await root.tail(target)
      const waits = root.ask("GET", `${target}?offset=${tail}&live=long-poll`)
      await sleep(200)
      const began = Date.now()
      await root.append(of("a"), { n: 1 })
      equal(expect(await waits, 200).json, [{ n: 1 }], "what a long-poll waits for")
      equal(Date.now() - began < 2000, true, `${Date.now() - began} ms`)
      const claim = await waking.claimed("worker")
      equal(claim.streams.find(({ path }) => path === target).tail_offset, await root.tail(target), "tail")
    },

    "several subscriptions copy into one stream, each what it is about": async () => {
      const { target, of } = await place(root)
      await root.create(of("a"))
      await root.create(of("b"))
      const first = await copying(root, target, { streams: [of("a")] })
      await copying(root, target, { streams: [of("b")] })
      await root.append(of("a"), "a")
      await root.append(of("b"), "b")
      const messages = await arrived(root, target, 2)
      equal(messages.toSorted(), ["a", "b"], "of both")
      expect(await first.delete(), 204)
      await root.append(of("a"), "a")
      await root.append(of("b"), "b")
      equal((await arrived(root, target, 3)).at(-1), "b", "of the other")
      // A stream may be written by others, too.
      await root.append(target, "own")
      await sleep(400)
      equal((await root.read(target)).messages.slice(2), ["b", "own"], "in the end")
    },
  }
}
