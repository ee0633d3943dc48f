// What is done with R2 objects and their bytes. Those stay out of WebAssembly: the runtime moves them
// from stream to stream by itself.

export function getRange(bucket, key, offset, length) {
  return bucket.get(key, { range: { offset, length } })
}

/** Shows `take` all bytes of an object, in order. Resolves with its entity tag, if it is there. */
export async function readWhole(bucket, key, take) {
  const object = await bucket.get(key)
  if (!object) return undefined
  for await (const chunk of object.body) take(chunk)
  return object.etag
}

export function putObject(bucket, key, body, contentType) {
  return bucket.put(key, body, { httpMetadata: { contentType } })
}

/** Lists a thousand keys at most that start with `prefix` and have no slash behind it. */
export async function listKeys(bucket, prefix, cursor) {
  const page = await bucket.list({ prefix, cursor, delimiter: "/" })
  return { keys: page.objects.map(({ key }) => key), cursor: page.truncated ? page.cursor : undefined }
}

/** Lists `limit` keys at most that start with `prefix`, behind one of them if it is given. */
export async function listBehind(bucket, prefix, startAfter, limit) {
  const { objects, truncated } = await bucket.list({ prefix, startAfter, limit })
  const keys = objects.map(({ key }) => key)
  return { keys, cursor: truncated ? keys.at(-1) : undefined }
}

export async function writeBytes(writable, bytes) {
  const writer = writable.getWriter()
  try {
    await writer.write(bytes)
  } finally {
    writer.releaseLock()
  }
}

export function writeStream(writable, readable) {
  return readable.pipeTo(writable, { preventClose: true })
}
