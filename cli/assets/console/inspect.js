// What is known of a stream: all of it where the server can say it, else what HEAD says.

import { ask, askJson, controlUrl, encoded, Refused, streamUrl, whole } from "./api.js"

/**
 * A stream. What only some servers tell is absent elsewhere.
 * @typedef {object} Stream
 * @property {string} contentType
 * @property {string} tail the offset where it ends
 * @property {string | null} [earliest] the offset of the first that is still there
 * @property {boolean} closed
 * @property {string} [createdAt]
 * @property {boolean} [public]
 * @property {number | null} [ttl] in seconds
 * @property {string | null} [expiresAt]
 * @property {string | null} [endsAt]
 * @property {string | null} [retention]
 * @property {{ path: string, offset: string, subOffset: number } | null} [forkedFrom]
 * @property {{ path: string }[]} [forks]
 * @property {{ from: string, to: string, bytes: number }[]} [segments]
 * @property {number} [segmentCount]
 * @property {{ from: string, bytes: number, rows: number }} [hot]
 * @property {number} [producers]
 * @property {string[]} [subscriptions]
 * @property {number} [databaseBytes]
 */

let knowsAll = true

/**
 * @param {string | null} project
 * @param {string} path below the root
 * @param {{ signal?: AbortSignal, isQuiet?: boolean }} [more]
 * @returns {Promise<Stream>}
 */
export async function inspect(project, path, more) {
  let refused = null
  if (knowsAll) {
    try {
      return await askJson("GET", controlUrl(project, `streams/${encoded(path)}`), undefined, more)
    } catch (error) {
      // A server without a directory, or of another make, has no such route, and some let nobody look who
      // may read; then the stream is asked.
      if (!(error instanceof Refused) || ![400, 401, 403, 404, 405, 501].includes(error.status)) throw error
      if (error.code === "stream_not_found") throw error
      refused = error
    }
  }
  const { headers } = await ask("HEAD", streamUrl(whole(project, path)), more).catch((error) => {
    // Of two that say the same, this one has no words.
    throw refused?.status === error.status ? refused : error
  })
  // It is there, and was not found above: nobody asks in vain again.
  knowsAll = false
  const ttl = headers.get("Stream-TTL")
  return {
    contentType: headers.get("Content-Type") ?? "application/octet-stream",
    tail: headers.get("Stream-Next-Offset") ?? "-1",
    earliest: headers.get("Stream-Earliest-Offset"),
    closed: headers.get("Stream-Closed")?.toLowerCase() === "true",
    ttl: ttl === null ? null : Number(ttl),
    expiresAt: headers.get("Stream-Expires-At"),
    retention: headers.get("Stream-Retention"),
  }
}
