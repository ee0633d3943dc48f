// Clients in Node.js: node node.mjs URL FILE…, where each file has the checks of one client. Prints
// a line of JSON for each check.
import { run } from "./checks.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))
// What a client prints is no check.
console.log = console.error

const [server, ...files] = process.argv.slice(2)
for (const file of files) {
  const { checks } = await import(`./${file}`)
  await run(await checks(server), (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`)
  })
}
process.exit()
