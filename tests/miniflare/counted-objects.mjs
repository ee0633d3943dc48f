// Stands between a worker and its objects: everything is passed on, and every request is counted. The
// class has the name that the `worker` crate looks for.
class DurableObjectNamespace {
  constructor({ OBJECTS, COUNT }) {
    this.getByName = (name) => {
      const stub = OBJECTS.getByName(name)
      return {
        fetch: async (...args) => {
          const counted = COUNT.fetch("http://count/object_requests")
          const response = await stub.fetch(...args)
          await counted
          return response
        },
      }
    }
  }
}

export default (env) => new DurableObjectNamespace(env)
