// Stands between a worker and its objects: everything is passed on, and every request is counted, as
// one to where it was said the object is. workerd knows no jurisdictions; here they have other objects.
const within = (jurisdiction, OBJECTS, COUNT) => ({
  idFromName: (name) => OBJECTS.idFromName(jurisdiction ? `${jurisdiction}:${name}` : name),
  jurisdiction: (word) => within(word, OBJECTS, COUNT),
  get: (id, options) => {
    const stub = OBJECTS.get(id, options)
    const place = new URLSearchParams({ jurisdiction, near: options?.locationHint ?? "" })
    return {
      fetch: async (...args) => {
        const counted = COUNT.fetch(`http://count/object_requests?${place}`)
        const response = await stub.fetch(...args)
        await counted
        return response
      },
    }
  },
})

export default ({ OBJECTS, COUNT }) => within("", OBJECTS, COUNT)
