// What every request pays for, in as few steps across the border to WebAssembly as possible.

// Futures go on in microtasks. workerd's queueMicrotask makes a function of its own for each, which
// takes longer than most steps of a future do; a promise does not. What comes from WebAssembly looks
// the function up by its name and is known by its mark; everybody else gets what the runtime has.
const settled = Promise.resolve()
const { queueMicrotask } = globalThis
globalThis.queueMicrotask = (task) => {
  if (!task?._wbg_cb_unref) return queueMicrotask.call(globalThis, task)
  settled.then(() => {
    try {
      task()
    } catch (error) {
      reportError(error)
    }
  })
}

/** A response; names and values of its headers are the lines of `headers`, in turn. */
export function makeResponse(status, headers, body, webSocket) {
  const lines = headers.split("\n")
  const all = {}
  for (let at = 0; at + 1 < lines.length; at += 2) all[lines[at]] = lines[at + 1]
  return new Response(body, { status, headers: all, webSocket })
}

/** The values of headers, each in a line; of one that is missing, NUL, which no value can have. */
export function headersOf(request, names) {
  const { headers } = request
  let lines = ""
  for (const name of names) lines += (headers.get(name) ?? "\0") + "\n"
  return lines
}

/** What `then` answers when the request's body is here, or the error that it broke off with. */
export function withBody(request, started, then) {
  return request.arrayBuffer().then(
    (body) => then(request, started, new Uint8Array(body)),
    (error) => then(request, started, undefined, String(error)),
  )
}

/** Where the objects are, as far as it is said; nothing without the binding. */
export function placeOf(env, binding, jurisdiction, locationHint) {
  const namespace = env[binding]
  return namespace && {
    namespace: jurisdiction ? within(namespace, jurisdiction) : namespace,
    // For each request, not only for what creates: whoever comes first decides where an object is.
    options: locationHint && { locationHint },
  }
}

/** The objects of a jurisdiction. workerd alone, on the machine of its user, knows none. */
function within(namespace, jurisdiction) {
  try {
    return namespace.jurisdiction(jurisdiction)
  } catch (error) {
    if (/not implemented in workerd/.test(error.message)) return namespace
    throw error
  }
}

/** The way to the object of a name. */
export function stubOf({ namespace, options }, name) {
  return namespace.get(namespace.idFromName(name), options)
}

/** Writes a data point. */
export function writeDataPoint(dataset, index, operation, outcome, project, count, bytes, rows) {
  dataset.writeDataPoint({
    indexes: [index],
    blobs: [operation, outcome, project],
    doubles: [count, bytes, rows],
  })
}

/** Asks for a WebSocket at a URL, with a mark on the request if there is one. */
export function upgrade(stub, url, mark) {
  const headers = { Upgrade: "websocket" }
  if (mark) headers[mark] = "true"
  return stub.fetch(url, { headers })
}

/** The response to a request that is handed on as it is, or what `refuse` makes of the error. */
export function passOn(stub, request, refuse) {
  return stub.fetch(request).catch(refuse)
}
