// R2's S3 API, as far as it removes many objects at once. A request has to be signed with the SHA-256
// of the token, as AWS signs, version 4.
import { createHash, createHmac } from "node:crypto"
import { findBucket } from "./r2.mjs"
import { Refusal, sha256, token } from "./state.mjs"
import { storage } from "./workerd.mjs"

/** Below this, as `https://<account>.r2.cloudflarestorage.com` is one. */
export const PREFIX = "/s3"

function signature({ method, path, headers, bytes }, { day, region, names }) {
  const lines = names.split(";").map((name) => `${name}:${headers[name]}\n`)
  const query = "delete="
  const request = [method, path, query, lines.join(""), names, sha256(bytes)].join("\n")
  const scope = `${day}/${region}/s3/aws4_request`
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(request)].join("\n")
  const hmac = (key, part) => createHmac("sha256", key).update(part).digest()
  const key = [day, region, "s3", "aws4_request"].reduce(hmac, `AWS4${sha256(token)}`)
  return hmac(key, text).toString("hex")
}

const FORM =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$/

function check(request) {
  const [, id, day, region, names, signed] = FORM.exec(request.headers.authorization) ?? []
  const is = (condition, code) => {
    if (!condition) throw new Refusal(403, 10000, code)
  }
  is(id && region === "auto", "InvalidAccessKeyId")
  is(names.includes("host") && names.includes("content-md5"), "AccessDenied")
  is(signed === signature(request, { day, region, names }), "SignatureDoesNotMatch")
  is(request.headers["x-amz-content-sha256"] === sha256(request.bytes), "XAmzContentSHA256Mismatch")
  const md5 = createHash("md5").update(request.bytes).digest("base64")
  is(request.headers["content-md5"] === md5, "BadDigest")
}

const letters = { amp: "&", lt: "<", gt: ">" }
const read = (text) =>
  text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&(amp|lt|gt);/g, (_, name) => letters[name])

export async function answer(request) {
  check(request)
  const bucket = findBucket(request.path.slice(PREFIX.length + 1), undefined)
  if (!bucket) throw new Refusal(404, 10006, "NoSuchBucket")
  const keys = [...request.bytes.toString().matchAll(/<Key>([^]*?)<\/Key>/g)].map(([, key]) => read(key))
  if (keys.length > 1000) throw new Refusal(400, 10000, "MalformedXML")
  const store = await storage(bucket.name)
  for (const key of keys) await store.delete(key)
  request.raw.body = "<DeleteResult/>"
}
