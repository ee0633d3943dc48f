// Serves the reference implementation: node serve.mjs '{"dataDir", "webhooks"}', in memory without a
// folder, and with subscriptions by webhook if asked for.
// Prints {"url"} when it answers, and ends when stdin does.
import { DurableStreamTestServer } from "@durable-streams/server"

const { dataDir, webhooks } = JSON.parse(process.argv[2])
const server = new DurableStreamTestServer({ host: "127.0.0.1", port: 0, dataDir, webhooks })
const url = await server.start()
console.log(JSON.stringify({ url }))
process.stdin.resume()
process.stdin.on("end", () => process.exit())
