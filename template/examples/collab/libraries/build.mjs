// Makes one file of what the page takes from npm, with the licences of what is in it:
// node build.mjs FILE
import { readFile, writeFile } from "node:fs/promises"
import { build } from "esbuild"

const code = `
  export { YjsProvider } from "@durable-streams/y-durable-streams"
  export { Awareness } from "y-protocols/awareness"
  export * as Y from "yjs"
`

const { metafile, outputFiles } = await build({
  stdin: { contents: code, resolveDir: import.meta.dirname },
  bundle: true,
  format: "esm",
  minify: true,
  metafile: true,
  write: false,
  legalComments: "none",
})

const folder = /^node_modules\/(@[^/]+\/)?[^/]+/
const used = new Set(Object.keys(metafile.inputs).flatMap((path) => path.match(folder)?.[0] ?? []))
const licences = await Promise.all(
  [...used].sort().map(async (path) => {
    const { name, version } = JSON.parse(await readFile(`${path}/package.json`, "utf8"))
    const licence = await readFile(`${path}/LICENSE`, "utf8")
    return { what: `${name} ${version}`, licence: licence.replaceAll("\r", "").trim() }
  }),
)
// Packages under one and the same text share it.
const texts = new Map()
for (const { what, licence } of licences) texts.set(licence, [...(texts.get(licence) ?? []), what])
const notices = [...texts].map(([licence, all]) => `${all.join(", ")}:\n\n${licence}`)
const comment = `/*!\n${notices.join("\n\n----\n\n").replaceAll("*/", "* /")}\n*/\n`
await writeFile(process.argv[2], `${outputFiles[0].text}${comment}`)
