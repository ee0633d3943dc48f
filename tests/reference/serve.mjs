// Serves the reference implementation: node serve.mjs '{"dataDir"}', in memory without a folder.
// Prints {"url"} when it answers, and ends when stdin does.
import { DurableStreamTestServer } from "@durable-streams/server"

const { dataDir } = JSON.parse(process.argv[2])
const server = new DurableStreamTestServer({ host: "127.0.0.1", port: 0, dataDir })
const url = await server.start()
console.log(JSON.stringify({ url }))
process.stdin.resume()
process.stdin.on("end", () => process.exit())
