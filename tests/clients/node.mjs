// The official client in Node.js: node node.mjs URL. Prints a line of JSON for each check.
import { run } from "./checks.mjs"
import { cutChecks } from "./cuts.mjs"
import { officialChecks } from "./official.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))

const server = process.argv[2]
const checks = { ...officialChecks(server, "node"), ...(await cutChecks(server)) }
await run(checks, (result) => console.log(JSON.stringify(result)))
process.exit()
