// What a test that has started this program does for it: it has a server of its own, and says on stdout
// what is to happen to it, which a line on stdin says has been done.
import { once } from "node:events"
import { createInterface } from "node:readline"

const lines = createInterface(process.stdin)
// Ends with the test, however that ends.
lines.on("close", () => process.exit(1))
// What a client prints is no check.
console.log = console.error

/** Lets the server "start" with variables, "stop", or "crash". Gives where it is. */
export async function server(to, vars = {}) {
  process.stdout.write(`${JSON.stringify({ server: to, vars })}\n`)
  const [line] = await once(lines, "line")
  return line
}

/** Says what came of a check. */
export const report = (result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
