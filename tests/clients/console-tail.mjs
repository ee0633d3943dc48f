// How the console's tail bears a busy stream: node console-tail.mjs URL CHROMIUM PROFILE [PROJECT], where
// URL is where the page is. For a minute, 10,000 messages come, one with each append; DURATION (in seconds)
// and RATE (a second) say otherwise, and BATCH how many come with an append. Prints what the frames were
// like, and memory and page before and after. It measures, and fails nothing.
import { sleep } from "./checks.mjs"
import { openPage, Streams } from "./console-page.mjs"
import { eventually, fresh } from "./control.mjs"

const [url, chromium, profile, project = null] = process.argv.slice(2)
const seconds = Number(process.env.DURATION ?? 60)
const batch = Number(process.env.BATCH ?? 1)
const rate = Number(process.env.RATE ?? 10_000 / 60)
const streams = new Streams(url, project)
const page = await openPage(url, chromium, profile)
const path = fresh("busy")
const message = (n) => ({ n, at: new Date().toISOString(), customer: "Grace", items: [{ sku: "desk-lamp", quantity: 2 }], note: "x".repeat(n % 120) })

/** What the page takes, once all that can go has gone. */
async function taken() {
  await page.tab("HeapProfiler.collectGarbage")
  const { metrics } = await page.tab("Performance.getMetrics")
  const of = (name) => metrics.find((metric) => metric.name === name).value
  return { heap: of("JSHeapUsedSize"), nodes: of("Nodes"), elements: await page.count("*"), listeners: of("JSEventListeners") }
}

await page.size(1280, 800, "light")
await page.tab("Performance.enable")
await page.tab("HeapProfiler.enable")
await streams.create(path)
await page.load(`#/stream/${project === null ? "" : `${project}/`}${path}`)
await page.has(".state", "Live")
const before = await taken()
await page.ask(`{
  window.frames_ = []
  window.tasks = []
  let last = performance.now()
  const frame = (now) => {
    frames_.push(now - last)
    last = now
    requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" })
}`)

const { metrics: start } = await page.tab("Performance.getMetrics")
const began = Date.now()
let sent = 0
let late = 0
const waiting = new Set()
while (Date.now() - began < seconds * 1000) {
  const due = Math.floor(((Date.now() - began) / 1000) * rate)
  while (sent < due) {
    const append = streams.append(path, Array.from({ length: batch }, () => message(sent++))).finally(() => waiting.delete(append))
    waiting.add(append)
    if (waiting.size > 32) {
      late += 1
      await Promise.race(waiting)
    }
  }
  await sleep(4)
}
await Promise.all(waiting)
const took = (Date.now() - began) / 1000
const { metrics: end } = await page.tab("Performance.getMetrics")
const frames = (await page.ask("frames_")).toSorted((a, b) => a - b)
const tasks = await page.ask("tasks")
let text
const shown = await eventually("all has come", async () => {
  text = await page.ask(`document.querySelector(".tail .figures").textContent`)
  const [kept, dropped = 0] = text.match(/\d[\d,]*/g).map((number) => Number(number.replaceAll(",", "")))
  return kept + dropped >= sent ? text : null
}, 30_000).catch(() => `${text}, of ${sent}`)
const after = await taken()

const of = (share) => Number(frames[Math.min(frames.length - 1, Math.floor(frames.length * share))].toFixed(1))
const spent = (name) => {
  const [a, b] = [start, end].map((metrics) => metrics.find((metric) => metric.name === name).value)
  return `${Math.round(((b - a) / took) * 100)} %`
}
console.log(JSON.stringify({
  messages: sent,
  seconds: Number(took.toFixed(1)),
  perMinute: Math.round((sent / took) * 60),
  heldUp: late,
  shown,
  frames: { count: frames.length, median: of(0.5), p95: of(0.95), p99: of(0.99), longest: of(1), above50: frames.filter((one) => one > 50).length },
  longTasks: { count: tasks.length, longest: Math.max(0, ...tasks) },
  processor: { all: spent("TaskDuration"), script: spent("ScriptDuration"), layout: spent("LayoutDuration") },
  before,
  after,
  wrong: page.wrong,
}, null, 2))
process.exit()
