// Stands between a worker and KV: with MODE `counted` everything is passed on, with `failing`
// nothing, and with `silent` there is never an answer. With `busy` a key takes one write a second, as
// on Cloudflare. Every call is counted.
const written = new Map()

function refuseHaste(method, key) {
  const since = Date.now() - (written.get(key) ?? 0)
  if (since < 1000) throw new Error(`KV ${method.toUpperCase()} failed: 429 Too Many Requests`)
  written.set(key, Date.now())
}

const call = async ({ KV, COUNT, MODE }, kind, method, args) => {
  await COUNT.fetch(`http://count/${kind}`)
  if (MODE === "failing") throw new Error("KV is out of order")
  if (MODE === "silent") return await new Promise(() => {})
  if (MODE === "busy" && kind === "kv_writes") refuseHaste(method, args[0])
  return await KV[method](...args)
}

export default (env) => ({
  get: (...args) => call(env, "kv_reads", "get", args),
  put: (...args) => call(env, "kv_writes", "put", args),
  delete: (...args) => call(env, "kv_writes", "delete", args),
})
