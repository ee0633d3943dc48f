// The page of the example collab, in two browsers: node collab-page.mjs URL CHROMIUM PROFILE PROFILE,
// where each PROFILE is an empty folder. Prints a line of JSON for each check.
import { equal, run, until } from "./checks.mjs"
import { open } from "./chromium.mjs"

// Ends with the test, however that ends.
process.stdin.resume().on("end", () => process.exit(1))

const [server, chromium, ...profiles] = process.argv.slice(2)
const tabs = await Promise.all(profiles.map((profile) => open(chromium, profile)))
const [one, other] = tabs

const field = (id) => `document.getElementById("${id}")`
const value = (tab) => tab.ask(`${field("text")}.value`)
const state = (tab) => tab.ask(`${field("state")}.textContent`)
const people = (tab) => tab.ask(`[...${field("people")}.children].map((item) => item.textContent)`)
const eventually = async (isSo) => {
  let answer = false
  const look = async () => {
    for (;;) if ((answer = await isSo().catch(() => false))) return
  }
  look()
  await until(() => answer)
}

/** Puts the cursor somewhere and types there. */
async function type(tab, at, text) {
  await tab.ask(`${field("text")}.focus(); ${field("text")}.setSelectionRange(${at}, ${at})`)
  await tab.tab("Input.insertText", { text })
}

async function name(tab, text) {
  await tab.ask(`${field("name")}.focus(); ${field("name")}.select()`)
  await tab.tab("Input.insertText", { text })
}

const offline = (tab, isOffline) =>
  tab.tab("Network.emulateNetworkConditions", {
    offline: isOffline,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: -1,
  })

const checks = {
  "two pages write one text": async () => {
    await Promise.all(tabs.map((tab) => tab.go(`${server}/#pages`)))
    for (const tab of tabs) await eventually(async () => (await state(tab)) === "Saved")
    await type(one, 0, "one 😀\n")
    await eventually(async () => (await value(other)) === "one 😀\n")
    await type(other, 7, "other")
    await eventually(async () => (await value(one)) === "one 😀\nother")
    // The cursor of whoever types is where it was when others write before it.
    await type(one, 0, "x")
    await eventually(async () => (await value(other)) === "xone 😀\nother")
    await other.tab("Input.insertText", { text: "!" })
    await eventually(async () => (await value(one)) === "xone 😀\nother!")
  },

  "they know who is there, and where": async () => {
    await name(one, "Ada")
    await name(other, "Grace")
    await type(other, 9, "")
    await eventually(async () => `${await people(other)}`.startsWith("Grace (you)"))
    await eventually(async () => (await people(one)).join() === "Ada (you) · line 1,Grace · line 2")
    const [mine, theirs] = await one.ask(
      `[...${field("people")}.children].map((item) => getComputedStyle(item).backgroundColor)`,
    )
    equal(mine === theirs, false, "both have the same colour")
  },

  "a reload has the text, and the name": async () => {
    const before = await value(one)
    await one.tab("Page.reload")
    await eventually(async () => (await value(one)) === before && (await state(one)) === "Saved")
    equal((await people(one))[0], "Ada (you)", "who is here")
    await eventually(async () => (await people(other)).length === 2)
  },

  "what is written offline is there when the network is back": async () => {
    await one.tab("Network.enable")
    await offline(one, true)
    await eventually(async () => (await state(one)).startsWith("Offline."))
    await type(one, 0, "offline ")
    const before = await value(other)
    await type(other, before.length, " online")
    await offline(one, false)
    const expected = `offline ${before} online`
    for (const tab of tabs) await eventually(async () => (await value(tab)) === expected)
    for (const tab of tabs) await eventually(async () => (await state(tab)) === "Saved")
  },

  "another document is another text": async () => {
    await other.go(`${server}/#pages/second`)
    await eventually(async () => (await state(other)) === "Saved")
    equal(await value(other), "", "the text")
    await eventually(async () => (await people(one)).length === 1)
  },
}

await run(checks, (result) => process.stdout.write(`${JSON.stringify(result)}\n`))
process.exit()
