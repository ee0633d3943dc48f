// Clients on a page in Chromium: node browser.mjs URL CHROMIUM PROFILE FILE…, where each file has the
// checks of one client. The page is of another origin than the server at URL; PROFILE is an empty
// folder. Prints a line of JSON for each check.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import { extname, join } from "node:path"
import { FLAGS } from "./chromium.mjs"
import { proxyTo } from "./proxy.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" }
const [server, chromium, profile, ...files] = process.argv.slice(2)
const proxy = await proxyTo(server)

const told = {
  "/cut": () => proxy.cut(),
  "/result": (body) => console.log(body),
  "/done": () => process.exit(),
}

const pages = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost")
  if (request.method === "POST") {
    let body = ""
    for await (const part of request.setEncoding("utf8")) body += part
    await told[pathname](body)
    return response.end()
  }
  const file = await readFile(join(import.meta.dirname, pathname)).catch(() => null)
  response.writeHead(file ? 200 : 404, { "Content-Type": TYPES[extname(pathname)] ?? "text/plain" })
  response.end(file)
})
pages.listen(0, "127.0.0.1")
await once(pages, "listening")

const page = new URL(`http://127.0.0.1:${pages.address().port}/page.html`)
page.search = new URLSearchParams({ server, proxy: proxy.url, files })
// With the last one it ends when this program does, which holds the other ends of two pipes.
const flags = [...FLAGS, "--enable-logging=stderr", `--user-data-dir=${profile}`]
const browser = spawn(chromium, [...flags, page.href], {
  stdio: ["ignore", "ignore", "inherit", "pipe", "pipe"],
})
browser.on("exit", (code) => {
  console.error(`Chromium ended with ${code}`)
  process.exit(1)
})
