// Where there is no wrk: the same load by autocannon, in a process of its own.
import autocannon from "autocannon"
import { answer, argument } from "./fresh.ts"
import type { Job, Loaded } from "./proxy.load.ts"

const { body, connections, path, port, routes, seconds } = argument<Job>()
const one = {
  method: body === undefined ? "GET" : "POST",
  ...body === undefined ? {} : { body: "x".repeat(body) }
} as const

const result = await autocannon({
  url: `http://127.0.0.1:${port}`,
  connections,
  duration: seconds,
  requests: routes === undefined
    ? [{ ...one, path }]
    : Array.from({ length: routes }, (_, i) => ({
      ...one,
      path: `/r${String(i * 7919 % routes).padStart(5, "0")}/users/1`
    }))
})

answer(
  {
    requests: result.requests.total,
    bytes: result.throughput.total,
    seconds: result.duration,
    refused: result.non2xx,
    errors: result.errors,
    p50: result.latency.p50,
    p99: result.latency.p99
  } satisfies Loaded
)
