import type { Proxy } from "@blackgate/http"
import type { Config } from "../ConfigSchema.ts"
import { list, time } from "./options.ts"

type RetriesConfig = NonNullable<NonNullable<Config["routes"]>[number]["retries"]>

/** What a route sends again. */
export const retryOptions = (
  retries: RetriesConfig | undefined
): Pick<Proxy.Options, "retry" | "attemptTimeout"> => {
  if (retries === undefined) return {}
  const { attempt_timeout, attempts = 3, backoff = {}, methods, statuses } = retries
  return {
    attemptTimeout: time(attempt_timeout),
    retry: {
      times: attempts - 1,
      base: time(backoff.base),
      max: time(backoff.max),
      statuses,
      methods: methods === undefined ? undefined : list(methods).map((method) => method.toUpperCase())
    }
  }
}

/** In words. */
export const describeRetry = ({ statuses = false, times = 2 }: NonNullable<Proxy.Options["retry"]>): string => {
  const listed = statuses === true ? [502, 503, 504] : statuses === false ? [] : statuses
  return `${times + 1} attempts${listed.length === 0 ? "" : `; also at ${listed.join(" ")}`}`
}
