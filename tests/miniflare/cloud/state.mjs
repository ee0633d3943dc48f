// What there is, as the API shows it, and what it was asked.
import { createHash } from "node:crypto"

export const { state, token, boots } = JSON.parse(process.argv[2])
export const ACCOUNT = "0123456789abcdef0123456789abcdef"
export const BASE = "/client/v4"

export const cloud = {
  accounts: [{ id: ACCOUNT, name: "Test account" }],
  subdomain: "fakecloud",
  buckets: [],
  namespaces: [],
  scripts: {},
  uploads: 0,
}
export const requests = []

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message)
    Object.assign(this, { status, code })
  }
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex")
export const now = () => new Date().toISOString()
/** The names of secrets as the API lists them: their values nobody reads again. */
export const named = (secrets) => Object.keys(secrets).map((name) => ({ name, type: "secret_text" }))
export const find = (list, key, value) => list.find((one) => one[key] === value)
