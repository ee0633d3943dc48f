// Stands between a worker and its objects: everything is passed on, and every request is counted.
export default ({ OBJECTS, COUNT }) => ({
  idFromName: (name) => OBJECTS.idFromName(name),
  get: (id) => {
    const stub = OBJECTS.get(id)
    return {
      fetch: async (...args) => {
        const counted = COUNT.fetch("http://count/object_requests")
        const response = await stub.fetch(...args)
        await counted
        return response
      },
    }
  },
})
