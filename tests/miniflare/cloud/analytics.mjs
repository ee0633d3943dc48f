// Data points, and the SQL that asks for them.
import { run } from "./sql.mjs"
import { cloud } from "./state.mjs"

/** A data point as a table has it; `at` is in seconds. */
function row({ at, sampled = 1, index, blobs = [], doubles = [] }) {
  const columns = { timestamp: at, _sample_interval: sampled, index1: index }
  for (let n = 0; n < 20; n++) {
    columns[`blob${n + 1}`] = blobs[n] ?? ""
    columns[`double${n + 1}`] = doubles[n] ?? 0
  }
  return columns
}

function answer(text) {
  const tables = cloud.points ?? {}
  if (/^\s*SHOW\s+TABLES\s*$/i.test(text))
    return { data: Object.keys(tables).map((dataset) => ({ dataset, type: "event" })) }
  const rows = Object.entries(tables).map(([name, points]) => [name, points.map(row)])
  return { data: run(text, Object.fromEntries(rows)) }
}

export const routes = [
  [
    "POST",
    "/analytics_engine/sql",
    ({ raw, bytes }) => {
      // Neither answer has the envelope of the rest of the API.
      if (cloud.analytics === false) {
        raw.status = 403
        raw.body = "Authorization error"
        return
      }
      try {
        const { data } = answer(bytes.toString())
        const meta = Object.keys(data[0] ?? {}).map((name) => ({ name, type: "String" }))
        raw.body = JSON.stringify({ meta, data, rows: data.length })
      } catch (error) {
        raw.status = 422
        raw.body = error.message
      }
    },
  ],
]
