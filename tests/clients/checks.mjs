// Named checks, in Node.js and in a page alike.

/** Far longer than a check takes: it ends one that hangs. In milliseconds. */
const PATIENCE = 60_000

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis))

/** Runs the checks one after the other and reports {name, failure} of each; null for no failure. */
export async function run(checks, report) {
  for (const [name, check] of Object.entries(checks)) {
    const late = sleep(PATIENCE).then(() => `not done after ${PATIENCE} ms`)
    const done = check().then(
      () => null,
      (error) => `${error?.stack ?? error}`,
    )
    await report({ name, failure: await Promise.race([done, late]) })
  }
}

/** Waits until the answer is yes. That it takes too long is found by `run`. */
export async function until(isSo) {
  while (!isSo()) await sleep(20)
}

/** Throws unless both are the same as JSON. */
export function equal(seen, expected, what) {
  const [a, b] = [seen, expected].map((value) => JSON.stringify(value) ?? "undefined")
  if (a !== b) throw new Error(`${what}: ${a.slice(0, 500)} instead of ${b.slice(0, 500)}`)
}

/** The numbers from `start` up to `end`, without it. */
export const numbers = (start, end) => Array.from({ length: end - start }, (_, n) => start + n)

/** URLs of streams that nobody has used yet. */
export function freshUrls(server, place) {
  let count = 0
  return () => `${server}/v1/stream/${place}/${count++}`
}
