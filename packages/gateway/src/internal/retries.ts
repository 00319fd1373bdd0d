import type { Proxy } from "@blackgate/http"
import type { Config } from "../ConfigSchema.ts"
import { list, time } from "./options.ts"

type RetriesConfig = NonNullable<NonNullable<Config["routes"]>[number]["retries"]>

const refusals = {
  circuit_open: "CircuitOpen",
  rate_limited: "RateLimited",
  pool_full: "PoolFull",
  queue_timeout: "QueueTimeout"
} as const

/** What a route sends again. */
export const retryOptions = (
  retries: RetriesConfig | undefined
): Pick<Proxy.Options, "retry" | "attemptTimeout"> => {
  if (retries === undefined) return {}
  const { attempt_timeout, attempts = 3, backoff = {}, failures, max_retry_after, methods, statuses, wait_for } =
    retries
  const worth = failures && new Set<string>(list(failures))
  return {
    attemptTimeout: time(attempt_timeout),
    retry: {
      times: attempts - 1,
      base: time(backoff.base),
      max: time(backoff.max),
      statuses,
      maxRetryAfter: time(max_retry_after),
      waitFor: wait_for && list(wait_for).map((refusal) => refusals[refusal]),
      // An answer of statuses is worth it because it is listed there.
      while: worth &&
        ((failure) =>
          failure._tag === "CommandTimeout"
            ? worth.has("timeout")
            : failure.status !== undefined || worth.has(failure.phase)),
      methods: methods === undefined ? undefined : list(methods).map((method) => method.toUpperCase())
    }
  }
}

/** In words. */
export const describeRetry = (
  { statuses = false, times = 2, waitFor = [] }: NonNullable<Proxy.Options["retry"]>
): string => {
  const listed = statuses === true ? [502, 503, 504] : statuses === false ? [] : statuses
  const also = [...listed, ...waitFor]
  return `${times + 1} attempts${also.length === 0 ? "" : `; also at ${also.join(" ")}`}`
}
