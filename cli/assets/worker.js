// What Cloudflare calls: the worker's events and its classes, on top of what wasm-bindgen has written.
//
// After a panic nothing in WebAssembly's memory counts any more. Whoever notices one says so in
// `state`, and the next call starts WebAssembly anew. What was made before that belongs to an older
// instance, which `state.instanceId` tells, and is made again of what it was made of.
import { WorkerEntrypoint } from "cloudflare:workers"
import * as program from "./index.js"

// What the runtime calls as events; functions of other names are for workers that are bound to this one.
const EVENTS = ["connect", "email", "fetch", "queue", "scheduled"]

Error.stackTraceLimit = 100
const state = program.__worker_init_state()

function recover() {
  if (!state.criticalError) return
  console.log("Starting WebAssembly anew")
  program.__wbg_reset_state()
  state.criticalError = false
  state.instanceId++
}

function note(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return
  console.error("Critical", error)
  state.criticalError = true
}

addEventListener("error", ({ error }) => note(error))

// Functions of an object, with recovery. One that is asynchronous fails when its promise does.
const GUARDED = {
  apply(method, self, args) {
    recover()
    try {
      return method.apply(self, args)
    } catch (error) {
      note(error)
      throw error
    }
  },
}
const GUARDED_ASYNC = {
  async apply(method, self, args) {
    recover()
    try {
      return await method.apply(self, args)
    } catch (error) {
      note(error)
      throw error
    }
  },
}

function guarded(method) {
  return new Proxy(method, method.constructor === Function ? GUARDED : GUARDED_ASYNC)
}

// All that can be done with an object is done with the one behind it.
const PASSED_ON = [
  "set",
  "has",
  "deleteProperty",
  "apply",
  "construct",
  "getPrototypeOf",
  "setPrototypeOf",
  "isExtensible",
  "preventExtensions",
  "getOwnPropertyDescriptor",
  "defineProperty",
  "ownKeys",
]
const behind = Object.fromEntries(
  PASSED_ON.map((trap) => [trap, ({ object }, ...rest) => Reflect[trap](object, ...rest)]),
)

// A class whose objects outlast panics.
function lasting(type) {
  return new Proxy(type, {
    construct(type, args, newTarget) {
      try {
        recover()
        const make = () => Reflect.construct(type, args, newTarget)
        const held = { object: make(), instanceId: state.instanceId }
        return new Proxy(held, {
          ...behind,
          get(held, name, receiver) {
            if (held.instanceId !== state.instanceId) {
              held.object = make()
              held.instanceId = state.instanceId
            }
            const value = Reflect.get(held.object, name, receiver)
            return typeof value === "function" ? guarded(value) : value
          },
        })
      } catch (error) {
        state.criticalError = true
        throw error
      }
    },
  })
}

function onEvent(handle) {
  return (event, env, ctx) => {
    recover()
    return handle.call({ env, ctx }, event, env, ctx)
  }
}

// The default export. The runtime makes an instance of a class for each request, and looks for its
// functions; at an object it looks once. What other workers call by name has to be in a class.
function entry(functions) {
  const all = Object.entries(functions)
  const isEvent = ([name]) => EVENTS.includes(name)
  if (all.every(isEvent)) {
    return Object.fromEntries(all.map(([name, handle]) => [name, onEvent(handle)]))
  }
  class Entrypoint extends WorkerEntrypoint {}
  for (const [name, call] of all) {
    Entrypoint.prototype[name] = isEvent([name])
      ? function (event) {
          return call.call(this, event, this.env, this.ctx)
        }
      : call
  }
  return lasting(Entrypoint)
}
