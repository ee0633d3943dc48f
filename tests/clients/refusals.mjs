// Refusals of bodies that the client is still sending: node refusals.mjs URL TOKEN, with a token that
// may write below the project `p`. Prints a line of JSON for each check.
import { equal, run } from "./checks.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))

const [server, token] = process.argv.slice(2)
const TIMES = 20
const LENGTH = 30 << 20
const PART = 1 << 16

const stream = `${server}/v1/stream/p/refusals`
const body = new Uint8Array(LENGTH)

/** A body whose length nobody knows before it ends. */
function parts() {
  let left = LENGTH
  return new ReadableStream({
    pull(controller) {
      if (left === 0) return controller.close()
      left -= PART
      controller.enqueue(new Uint8Array(PART))
    },
  })
}

const SENT = {
  announced: () => ({ body }),
  chunked: () => ({ body: parts(), duplex: "half" }),
}

const REFUSED = {
  "too long to append": { status: 413, method: "POST", url: stream },
  "too long to create": { status: 413, method: "PUT", url: stream },
  "with a wrong token": { status: 401, method: "POST", url: stream, token: `${token}x` },
  "for another project": { status: 403, method: "POST", url: `${server}/v1/stream/other/a` },
  "to no stream": { status: 404, method: "POST", url: `${server}/elsewhere` },
  "by a method that streams do not have": { status: 405, method: "PATCH", url: stream },
  "to delete what is not there": { status: 404, method: "DELETE", url: stream },
  "in an unknown encoding": {
    status: 415,
    method: "POST",
    url: stream,
    headers: { "Content-Encoding": "br" },
  },
  "that is not in its encoding": {
    status: 400,
    method: "POST",
    url: stream,
    headers: { "Content-Encoding": "gzip" },
  },
}

const checks = {}
for (const [what, refused] of Object.entries(REFUSED)) {
  for (const [how, sent] of Object.entries(SENT)) {
    checks[`${what}, ${how}`] = async () => {
      const { status, method, url, headers } = refused
      const seen = {}
      for (let n = 0; n < TIMES; n++) {
        const authorization = `Bearer ${refused.token ?? token}`
        const asked = fetch(url, {
          method,
          headers: { authorization, "Content-Type": "application/octet-stream", ...headers },
          ...sent(),
        })
        const outcome = await asked.then(
          async (answer) => (await answer.text(), answer.status),
          (error) => `${error.cause?.code ?? error}`,
        )
        seen[outcome] = (seen[outcome] ?? 0) + 1
      }
      equal(seen, { [status]: TIMES }, "answers")
    }
  }
}
await run(checks, (result) => console.log(JSON.stringify(result)))
process.exit()
