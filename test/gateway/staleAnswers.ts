import type { Rewrite } from "@blackgate/http"
import { HttpBody } from "effect/http"
import type { Readable } from "node:stream"
import { StaleAnswers, type StaleOptions } from "../../packages/gateway/src/internal/StaleAnswers.ts"

const limits: StaleOptions = {
  maxAge: 60_000,
  maxEntries: 100,
  maxBytes: 100_000,
  maxBodySize: 10_000,
  ignoreHeaders: ["X-App"]
}

/** A request. */
export const asking = (
  headers: Record<string, string> = {},
  { method = "GET", url = "/a" }: { readonly method?: string; readonly url?: string } = {}
) =>
  ({
    method,
    path: url,
    query: "",
    headers: Object.entries(headers).flat(),
    source: { method, url, headers: { host: "a.test", ...headers } }
  }) as unknown as Rewrite.ProxyRequest

/** What the upstream says. */
export const answering = (
  body: string | Readable,
  headers: Record<string, string> = {},
  status = 200
): Rewrite.ProxyResponse => ({
  status,
  statusText: undefined,
  headers: Object.entries(headers).flat(),
  version: "1.1",
  body: typeof body === "string"
    ? HttpBody.text(body)
    : HttpBody.raw(body, {})
} as Rewrite.ProxyResponse)

/** Answers with a clock of their own. */
export const clocked = (options: Partial<StaleOptions> = {}) => {
  let now = 0
  const answers = new StaleAnswers({ ...limits, ...options }, () => now)
  const found = (request = asking()) => {
    const answer = answers.find(request)
    return answer?.body._tag === "Uint8Array" ? Buffer.from(answer.body.body).toString() : undefined
  }
  return { answers, found, pass: (millis: number) => (now += millis) }
}
