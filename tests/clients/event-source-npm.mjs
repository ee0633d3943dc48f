// The `EventSource` of npm, which programs without a browser have.
import { EventSource } from "eventsource"
import { equal, freshUrls, numbers, sleep, until } from "./checks.mjs"
import { proxyTo } from "./proxy.mjs"

const JSON_TYPE = "application/json"

/** The checks, for streams at `server`, which ends an answer of events after three seconds. */
export function checks(server) {
  const fresh = freshUrls(server, "event-source-npm")
  const create = async () => {
    const url = fresh()
    const send = async (method, body) => {
      const answer = await fetch(url, { method, headers: { "Content-Type": JSON_TYPE }, body })
      equal(answer.ok, true, `${method} of ${url}: ${answer.status}`)
    }
    await send("PUT")
    return { url, append: (body) => send("POST", body) }
  }

  /** One source for the whole check: it connects again by itself. */
  const listen = (url) => {
    const heard = { source: new EventSource(url), messages: [], ids: [], connections: 0 }
    heard.source.addEventListener("open", () => (heard.connections += 1))
    heard.source.addEventListener("data", ({ data, lastEventId }) => {
      heard.messages.push(...JSON.parse(data))
      heard.ids.push(lastEventId)
    })
    return heard
  }

  return {
    "it resumes after the server ended an answer, with nothing lost or doubled": async () => {
      const { url, append } = await create()
      await append("[0, 1]")
      const heard = listen(`${url}?offset=-1&live=sse`)
      let count = 2
      // It waits for three seconds before it connects again, in which more is written.
      while (heard.connections < 3) {
        await append(`${count++}`)
        await sleep(20)
      }
      await append(`${count++}`)
      await until(() => heard.messages.length >= count)
      heard.source.close()
      equal(heard.messages, numbers(0, count), "messages")
    },

    "it resumes after its connection was cut in mid-event, with nothing lost or doubled": async () => {
      const { url, append } = await create()
      const proxy = await proxyTo(server)
      const heard = listen(`${url.replace(server, proxy.url)}?offset=-1&live=sse`)
      await until(() => heard.connections === 1)
      for (const n of numbers(0, 40)) {
        const cut = n % 10 === 9 ? proxy.cut() : undefined
        await append(`${n}`)
        await cut
      }
      await until(() => heard.messages.includes(39))
      heard.source.close()
      equal(heard.messages, numbers(0, 40), "messages")
      equal(proxy.cuts, 4, "cuts")
    },

    "where it is can be handed to another one": async () => {
      const { url, append } = await create()
      for (const n of numbers(0, 10)) await append(`${n}`)
      const heard = listen(`${url}?offset=-1&live=sse`)
      await until(() => heard.messages.length === 10)
      await append("10")
      await until(() => heard.messages.length === 11)
      heard.source.close()
      const query = new URLSearchParams({ offset: heard.ids.at(-1), live: "sse" })
      const other = listen(`${url}?${query}`)
      await append("11")
      await until(() => other.messages.length > 0)
      other.source.close()
      equal(other.messages, [11], "messages")
    },
  }
}
