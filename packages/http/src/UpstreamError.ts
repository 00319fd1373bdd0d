/**
 * What can go wrong between the gateway and an upstream.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The exchange with the upstream failed.
 *
 * **Details**
 *
 * `phase` says how far it had come:
 *
 * - `connect`: there is no connection, so the upstream has seen nothing
 * - `head`: the request was under way, and no response head came
 * - `body`: the response broke off
 *
 * A client that goes away is no such failure: it is an interruption.
 *
 * @category errors
 * @since 0.1.0
 */
export class UpstreamError extends Data.TaggedError("UpstreamError")<{
  readonly phase: "connect" | "head" | "body"
  /** The upstream's origin. For logs: no answer shows it. */
  readonly origin: string
  /** What the transport says of it. For logs too. */
  readonly cause: unknown
}> {
  override get message(): string {
    const said = this.cause instanceof Error ? this.cause.message || this.cause.name : String(this.cause)
    return `${this.origin} failed at the ${this.phase}: ${said}`
  }
}
