// Serves a worker on workerd, for `durable-streams dev`.
//
// Each line on stdin is a JSON document of miniflare options: the first starts the worker, later ones
// replace it. Each line on stdout is an event: ready, failed, died, request. What the worker prints goes
// to stderr. The end of stdin ends everything, so nothing survives whoever started this.

import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import { Log, LogLevel, Miniflare } from "miniflare";

console.log = console.error;
// A failed start rejects more promises than the one that is awaited and reported.
process.on("unhandledRejection", () => {});

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

let miniflare;
let serving = false;

/** What miniflare says of a request that was answered: its path is without the query. */
const REQUEST = /^([A-Z]+) (\S+) (\d{3}) .*\((\d+)ms\)$/;

/** Says which requests were answered, and shows warnings and errors alone of everything else. */
class Lines extends Log {
  logWithLevel(level, message) {
    const request = level === LogLevel.INFO && REQUEST.exec(stripVTControlCharacters(message));
    if (request) {
      const [, method, path, status, ms] = request;
      say({ event: "request", method, path, status: Number(status), ms: Number(ms) });
    } else if (level <= LogLevel.WARN) {
      super.logWithLevel(level, message);
    }
  }
}

/** Shows what workerd prints, and notices its end: miniflare does not start it again. */
function handleRuntimeStdio(stdout, stderr) {
  for (const stream of [stdout, stderr]) {
    createInterface(stream).on("line", (line) => console.error(line));
  }
  stdout.once("end", () => {
    if (!serving) return;
    say({ event: "died" });
    process.exit(1);
  });
}

async function serve(options) {
  options.log = new Lines(options.logRequests ? LogLevel.INFO : LogLevel.WARN);
  options.handleRuntimeStdio = handleRuntimeStdio;
  serving = false;
  try {
    if (miniflare) {
      await miniflare.setOptions(options);
    } else {
      miniflare = new Miniflare(options);
    }
    await miniflare.ready;
    serving = true;
    say({ event: "ready" });
  } catch (error) {
    say({ event: "failed", message: error.message });
  }
}

for await (const line of createInterface(process.stdin)) {
  await serve(JSON.parse(line));
}
serving = false;
// One that did not start fails once more when it ends, and was reported.
await miniflare?.dispose().catch(() => {});
process.exit(0);
