// What only webhooks need: keys, signatures, and requests to their receivers.

/** A key pair, as a JSON Web Key in text, and the public half's 32 bytes in base64url. */
export async function newKey() {
  const { privateKey } = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])
  const { kty, crv, x, d } = await crypto.subtle.exportKey("jwk", privateKey)
  return [JSON.stringify({ kty, crv, x, d }), x]
}

export async function sign(key, bytes) {
  const imported = await crypto.subtle.importKey("jwk", JSON.parse(key), "Ed25519", false, ["sign"])
  return new Uint8Array(await crypto.subtle.sign("Ed25519", imported, bytes))
}

/** Whether it is a signature by the key with this public half; not where that is none. */
export async function verify(x, signature, bytes) {
  try {
    const jwk = { kty: "OKP", crv: "Ed25519", x }
    const key = await crypto.subtle.importKey("jwk", jwk, "Ed25519", false, ["verify"])
    return await crypto.subtle.verify("Ed25519", key, signature, bytes)
  } catch {
    return false
  }
}

/**
 * Sends a POST; names and values of its headers are the lines of `headers`, in turn. The answer is its
 * status and `most` bytes of its body, unless it is stopped before. Nothing is sent on elsewhere.
 */
export function post(url, headers, body, most) {
  const controller = new AbortController()
  return { answer: send(url, headers, body, most, controller.signal), stop: () => controller.abort() }
}

async function send(url, lines, body, most, signal) {
  const all = lines.split("\n")
  const headers = {}
  for (let at = 0; at + 1 < all.length; at += 2) headers[all[at]] = all[at + 1]
  try {
    const response = await fetch(url, { method: "POST", redirect: "manual", headers, body, signal })
    return [response.status, await start(response.body, most)]
  } catch (error) {
    // What is behind the path may be secret.
    throw String(error?.message ?? error).replaceAll(url, url.split("?")[0])
  }
}

/** The first bytes of a stream, `most` of them at most. The rest is not waited for. */
async function start(stream, most) {
  let bytes = new Uint8Array()
  if (!stream) return bytes
  const reader = stream.getReader()
  while (bytes.length < most) {
    const { value, done } = await reader.read()
    if (done) return bytes
    const longer = new Uint8Array(Math.min(most, bytes.length + value.length))
    longer.set(bytes)
    longer.set(value.subarray(0, longer.length - bytes.length), bytes.length)
    bytes = longer
  }
  reader.cancel().catch(() => {})
  return bytes
}
