// Put before a worker's main module: each alarm that its objects set is counted, as of its class.
const patched = new WeakSet()
// What is known of a storage.
const owners = new WeakMap()

/** The class, whose objects count their alarms. */
export const counting = (Class, kind) =>
  class extends Class {
    constructor(state, env) {
      const storage = Object.getPrototypeOf(state.storage)
      owners.set(state.storage, { kind, COUNT: env.COUNT })
      if (!patched.has(storage)) {
        patched.add(storage)
        const set = storage.setAlarm
        storage.setAlarm = function (...args) {
          const { kind, COUNT } = owners.get(this)
          COUNT.fetch(`http://count/${kind}`)
          return set.apply(this, args)
        }
      }
      super(state, env)
    }
  }
