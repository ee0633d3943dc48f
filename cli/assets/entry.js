// The worker's default export. worker-build's is a class behind proxies: for each request, the
// runtime makes an instance of it and looks for its handlers. At an object it looks once.
import Entrypoint from "./index.js"

export * from "./index.js"

const EVENTS = ["connect", "email", "fetch", "queue", "scheduled"]

const { prototype } = Entrypoint
const names = Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor")
const state = globalThis.__worker_init_state

function handler(name) {
  return (event, env, ctx) => {
    // To make an instance of the class is what starts WebAssembly anew after a panic.
    if (state?.criticalError) new Entrypoint(ctx, env)
    return prototype[name].call({ env, ctx }, event)
  }
}

// What other workers call by name has to be in a class.
export default names.every((name) => EVENTS.includes(name))
  ? Object.fromEntries(names.map((name) => [name, handler(name)]))
  : Entrypoint
