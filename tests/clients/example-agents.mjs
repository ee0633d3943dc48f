// Somebody who uses the page of the example `agents`: node example-agents.mjs URL CHROMIUM PROFILE
import { equal } from "./checks.mjs"
import { open } from "./chromium.mjs"
import { eventually } from "./control.mjs"

const [url, chromium, profile] = process.argv.slice(2)
const { ask, go } = await open(chromium, profile)
await go(`${url}/`)
await ask(`document.querySelector("textarea").value = "one two three"`)
await ask(`document.querySelector("button[value=quick]").click()`)

/** The lines that the page shows of its only job. */
const lines = async () => {
  const texts = await ask(`[...document.querySelectorAll("article")].map((article) => article.textContent)`)
  equal(texts.length <= 1, true, `${texts.length} jobs`)
  return (texts[0] ?? "").split("\n").slice(1)
}
const expected = ["started ", "result 3 words", ""]
const isDone = async () => JSON.stringify(await lines()) === JSON.stringify(expected)
await eventually("the result is there", isDone, 30_000)
// A page that is loaded again has it, too.
await go(`${url}/?again`)
await eventually("it is there again", isDone, 30_000)
// And nothing is on the page that opens more than what it shows.
equal(await ask(`JSON.stringify(localStorage).includes("ey")`), false, "a token is kept")
process.exit(0)
