// Stands between a worker and KV: with MODE `counted` everything is passed on, with `failing`
// nothing, and with `silent` there is never an answer. Every call is counted.
const call = async ({ KV, COUNT, MODE }, kind, method, args) => {
  await COUNT.fetch(`http://count/${kind}`)
  if (MODE === "failing") throw new Error("KV is out of order")
  if (MODE === "silent") return await new Promise(() => {})
  return await KV[method](...args)
}

export default (env) => ({
  get: (...args) => call(env, "kv_reads", "get", args),
  put: (...args) => call(env, "kv_writes", "put", args),
  delete: (...args) => call(env, "kv_writes", "delete", args),
})
