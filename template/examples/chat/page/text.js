// The text of a model as elements: paragraphs, lists, code, and what is bold. All of it goes in as text,
// so that nothing a model says can become part of the page.

/** An element with these children. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** The elements of a text, which may end anywhere. */
export function blocks(text) {
  const made = []
  // Every second part is between fences.
  text.split(/^```/m).forEach((part, index) => {
    if (index % 2 === 1) {
      const [, language, code] = /^([^\n]*)\n?([^]*)$/.exec(part)
      made.push(codeBlock(language.trim(), code.replace(/\n$/, "")))
    } else {
      made.push(...part.split(/\n{2,}/).filter((block) => block.trim() !== "").flatMap(block))
    }
  })
  return made
}

function codeBlock(language, code) {
  // With the keyboard, what is wider than the page is scrolled to.
  const pre = element("pre", { tabIndex: 0 }, element("code", {}, code))
  pre.setAttribute("role", "region")
  pre.setAttribute("aria-label", language ? `Code in ${language}` : "Code")
  return pre
}

/** Lines without an empty one between them: a heading, a list, a paragraph, or several of them. */
function block(text) {
  const made = []
  for (const line of text.replace(/^\n|\n$/g, "").split("\n")) {
    const [, mark, rest] = /^\s*([-*]|\d+[.)]|#{1,6})\s+(.*)$/.exec(line) ?? []
    const last = made.at(-1)
    if (mark?.startsWith("#")) {
      made.push(element("h3", {}, ...inline(rest)))
    } else if (mark) {
      const name = /\d/.test(mark) ? "ol" : "ul"
      const isNext = last?.localName === name
      const list = isNext ? last : element(name, name === "ol" ? { start: parseInt(mark, 10) } : {})
      list.append(element("li", {}, ...inline(rest)))
      if (!isNext) made.push(list)
    } else if (last?.localName === "p") {
      last.append("\n", ...inline(line))
    } else {
      made.push(element("p", {}, ...inline(line)))
    }
  }
  return made
}

function inline(text) {
  const parts = text.split(/(`[^`]+`|\*\*[^*]+\*\*)/)
  return parts.filter(Boolean).map((part) => {
    if (/^`[^`]+`$/.test(part)) return element("code", {}, part.slice(1, -1))
    if (/^\*\*[^*]+\*\*$/.test(part)) return element("strong", {}, part.slice(2, -2))
    return part
  })
}
