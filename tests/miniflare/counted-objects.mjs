// Stands between a worker and its objects of a class: everything is passed on, and every request is
// counted, as one to where it was said the object is. workerd knows no jurisdictions; here they have
// other objects.
const within = (jurisdiction, env) => ({
  idFromName: (name) => env.OBJECTS.idFromName(jurisdiction ? `${jurisdiction}:${name}` : name),
  jurisdiction: (word) => within(word, env),
  get: (id, options) => {
    const stub = env.OBJECTS.get(id, options)
    const place = new URLSearchParams({ jurisdiction, near: options?.locationHint ?? "" })
    return {
      fetch: async (...args) => {
        const counted = env.COUNT.fetch(`http://count/${env.KIND}?${place}`)
        const response = await stub.fetch(...args)
        await counted
        return response
      },
    }
  },
})

export default (env) => within("", env)
