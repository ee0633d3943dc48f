// Stands between a worker and its objects: everything is passed on, and every request is counted, as
// one of its kind and to where it was said the object is. workerd knows no jurisdictions; here they have other objects.
const within = (jurisdiction, OBJECTS, KIND, COUNT) => ({
  idFromName: (name) => OBJECTS.idFromName(jurisdiction ? `${jurisdiction}:${name}` : name),
  jurisdiction: (word) => within(word, OBJECTS, KIND, COUNT),
  get: (id, options) => {
    const stub = OBJECTS.get(id, options)
    const place = new URLSearchParams({ jurisdiction, near: options?.locationHint ?? "" })
    return {
      fetch: async (...args) => {
        const counted = COUNT.fetch(`http://count/${KIND}?${KIND === "object_requests" ? place : ""}`)
        const response = await stub.fetch(...args)
        await counted
        return response
      },
    }
  },
})

export default ({ OBJECTS, KIND, COUNT }) => within("", OBJECTS, KIND, COUNT)
