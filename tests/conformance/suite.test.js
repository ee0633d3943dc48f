import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({
  baseUrl: process.env.DURABLE_STREAMS_URL,
  longPollTimeoutMs: Number(process.env.LONG_POLL_TIMEOUT_MS),
  // Off by default, and then skipped: on, they count as what they are, not passed.
  subscriptions: true,
})
