/**
 * What can go wrong between the gateway and an upstream.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * The exchange with the upstream failed.
 *
 * **Details**
 *
 * `phase` says how far it had come:
 *
 * - `connect`: there is no connection, so the upstream has seen nothing
 * - `send`: the request was being sent, and the end of its body was not
 * - `head`: the whole request was sent, and no response head came, or one that a retry has thrown away
 * - `body`: the response broke off
 *
 * **Gotchas**
 *
 * A client that goes away is no such failure: it is an interruption. One that is there and says nothing is told by a transport with
 * the side `client`; a route makes that an interruption too, so that no fallback and no circuit hears of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class UpstreamError extends Data.TaggedError("UpstreamError")<{
  readonly phase: "connect" | "send" | "head" | "body"
  /** Who failed. `"upstream"` by default. */
  readonly side: "upstream" | "client"
  /** Whether it failed because it took too long. Not so, by default. */
  readonly timedOut: boolean
  /** Of an answer that a retry has thrown away for a better one, which did not come. Otherwise there is none. */
  readonly status: number | undefined
  /** How long that answer asked to be waited for, if it did. */
  readonly retryAfter: Duration.Duration | undefined
  /** The upstream's origin. For logs: no answer shows it. */
  readonly origin: string
  /** What the transport says of it. For logs too. */
  readonly cause: unknown
}> {
  constructor(props: {
    readonly phase: "connect" | "send" | "head" | "body"
    readonly side?: "upstream" | "client" | undefined
    readonly timedOut?: boolean | undefined
    readonly status?: number | undefined
    readonly retryAfter?: Duration.Duration | undefined
    readonly origin: string
    readonly cause: unknown
  }) {
    const { cause, origin, phase, retryAfter, side = "upstream", status, timedOut = false } = props
    super({ phase, side, timedOut, status, retryAfter, origin, cause })
  }

  override get message(): string {
    const said = wordsOf(this.cause)
    const who = this.side === "client" ? `a client of ${this.origin}` : this.origin
    return `${who} failed at the ${this.phase}: ${said}`
  }
}

// Of a host with several addresses there is an error for each, and nothing in the one around them.
const wordsOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  if (cause.message !== "" || !(cause instanceof AggregateError)) return cause.message || cause.name
  return cause.errors.map(wordsOf).join(", ") || cause.name
}

/**
 * What is done about each failure that ends a request of a route, by its key: a warning in the log, by default. What goes wrong after
 * the head of an answer is in the log, and not told here.
 *
 * **When to use**
 *
 * To count failures instead, or to write a line for many of them: whoever asks can make as many as they like.
 *
 * **Example** (None of it in the log)
 *
 * ```ts import.meta.vitest
 * import { UpstreamError } from "@blackgate/http"
 * import { Effect } from "effect"
 *
 * const quiet = Effect.provideService(UpstreamError.Report, () => Effect.void)
 *
 * await Effect.runPromise(quiet(Effect.succeed("a request"))) // => "a request"
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const Report: Context.Reference<(error: UpstreamError, key: string) => Effect.Effect<void>> = Context.Reference<
  (error: UpstreamError, key: string) => Effect.Effect<void>
>("@blackgate/http/UpstreamError/Report", { defaultValue: () => (error) => Effect.logWarning(error.message) })
