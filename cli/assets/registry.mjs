// Reads and writes the local run's KV, for `durable-streams projects` and whatever else needs a project's secret.
//
// The first line on stdin is a JSON document of miniflare options. Each further line is one request:
// {"get": key}, {"put": key, "value": text}, {"delete": key} or {"list": true}. Each is answered by one
// line on stdout: {"ok": value} or {"error": text}. The end of stdin ends everything.
//
// A worker that runs at the same time sees what is written at once: both work on the same SQLite files.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Log, LogLevel, Miniflare } from "miniflare";

const ATTEMPTS = 10;

console.log = console.error;

const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
const { value: options } = await lines.next();
const miniflare = new Miniflare({
  ...JSON.parse(options),
  modules: true,
  script: "export default { fetch() { return new Response(null, { status: 404 }); } };",
  log: new Log(LogLevel.NONE),
});
const opened = miniflare.getKVNamespace("REGISTRY");
// It is told to whoever asks.
opened.catch(() => {});

async function list(registry) {
  const names = [];
  let cursor;
  do {
    const page = await registry.list({ cursor });
    names.push(...page.keys.map((key) => key.name));
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return names;
}

async function handle(request) {
  const registry = await opened;
  if ("get" in request) return await registry.get(request.get);
  if ("put" in request) return (await registry.put(request.put, request.value)) ?? null;
  if ("delete" in request) return (await registry.delete(request.delete)) ?? null;
  return await list(registry);
}

/** SQLite is busy while another process writes; that takes milliseconds. */
async function persist(request) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return { ok: await handle(request) };
    } catch (error) {
      if (attempt === ATTEMPTS) return { error: error.message };
      await sleep(20 * attempt * (0.5 + Math.random()));
    }
  }
}

for await (const line of lines) {
  process.stdout.write(`${JSON.stringify(await persist(JSON.parse(line)))}\n`);
}
await miniflare.dispose().catch(() => {});
process.exit(0);
