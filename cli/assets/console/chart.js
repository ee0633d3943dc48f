// How much comes each second, over the last minute: two rows of bars, and the same in words.

import { bytes, count } from "./format.js"
import { fill, h } from "./dom.js"

const SECONDS = 60
const WIDTH = 240
const HEIGHT = 28
const SVG = "http://www.w3.org/2000/svg"

/** @param {string} unit what is counted, as in `messages` */
export function chart(unit) {
  let now = second()
  let counts = new Array(SECONDS).fill(0)
  let sizes = new Array(SECONDS).fill(0)
  const words = h("p", { class: "rate" })
  const [some, much] = [bars(`${unit} a second`), bars("bytes a second")]
  const element = h("div", { class: "chart" }, words, some.svg, much.svg)

  function advance() {
    const steps = Math.min(SECONDS, second() - now)
    now = second()
    for (let step = 0; step < steps; step += 1) {
      counts.push(0)
      sizes.push(0)
    }
    counts = counts.slice(-SECONDS)
    sizes = sizes.slice(-SECONDS)
  }

  function draw() {
    advance()
    const [rate, size] = [counts, sizes].map((values) => values.slice(-6, -1).reduce((sum, one) => sum + one, 0) / 5)
    const [most, largest] = [Math.max(...counts), Math.max(...sizes)]
    fill(words, h("b", {}, rounded(rate)), ` ${unit}/s`, h("b", {}, bytes(size)), "/s")
    some.draw(counts, `${rounded(rate)} ${unit} a second, at most ${count(most)} in the last minute`)
    much.draw(sizes, `${bytes(size)} a second, at most ${bytes(largest)} in the last minute`)
  }

  draw()
  const timer = setInterval(() => document.hidden || draw(), 1000)
  return {
    element,
    /** Notes what has come. */
    add(size) {
      if (second() !== now) advance()
      counts[SECONDS - 1] += 1
      sizes[SECONDS - 1] += size
    },
    end: () => clearInterval(timer),
  }
}

const second = () => Math.floor(Date.now() / 1000)
const rounded = (value) => (value > 0 && value < 10 ? value.toFixed(1) : count(Math.round(value)))

function bars(label) {
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", label)
  const path = svg.appendChild(document.createElementNS(SVG, "path"))
  return {
    svg,
    draw(values, words) {
      const most = Math.max(1, ...values)
      const width = WIDTH / SECONDS
      const bar = (value, at) => {
        const height = value === 0 ? 0.5 : Math.max(1.5, (value / most) * HEIGHT)
        return `M${at * width} ${HEIGHT}v${-height.toFixed(1)}h${width - 1}v${height.toFixed(1)}z`
      }
      path.setAttribute("d", values.map(bar).join(""))
      svg.setAttribute("aria-label", words)
    },
  }
}
