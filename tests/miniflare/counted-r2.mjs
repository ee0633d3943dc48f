// Stands between a worker and its bucket: everything is passed on, and every call is counted by what
// Cloudflare bills it as. Deletions are free.
export default ({ BUCKET, COUNT }) => {
  const call = (kind, name) => async (...args) => {
    await COUNT.fetch(`http://count/${kind}`)
    return BUCKET[name](...args)
  }
  return {
    get: call("r2_reads", "get"),
    head: call("r2_reads", "head"),
    put: call("r2_writes", "put"),
    list: call("r2_writes", "list"),
    delete: call("r2_deletions", "delete"),
  }
}
