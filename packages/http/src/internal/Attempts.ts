import type { Running } from "@blackgate/core/Command"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as HeaderList from "../HeaderList.ts"
import type { Request, Response, Transport } from "../Transport.ts"
import { UpstreamError } from "../UpstreamError.ts"
import { Exchange } from "./Exchange.ts"

type Call = Running<Response | HttpServerResponse, UpstreamError>

/** An exchange that may be made again, each time as if there had been none before. */
export class Attempts extends Exchange {
  private readonly statuses: ReadonlySet<number>
  private readonly clock: Clock.Clock

  constructor(scope: Scope.Scope, statuses: ReadonlySet<number>, clock: Clock.Clock) {
    super(scope)
    this.statuses = statuses
    this.clock = clock
  }

  override start(call: Call, transport: Transport["Service"], request: Request): () => void {
    const { clock, scope, send, statuses } = this
    const attempt = statuses.size === 0 ? new Exchange(scope) : new Attempt(scope, statuses, clock)
    attempt.send = send
    return attempt.start(call, transport, request)
  }
}

/** One of them, whose answer is worth less than another attempt if it has one of these statuses. */
class Attempt extends Exchange {
  private readonly statuses: ReadonlySet<number>
  private readonly clock: Clock.Clock
  private running: Call | undefined = undefined
  private origin = ""
  private isThrownAway = false

  constructor(scope: Scope.Scope, statuses: ReadonlySet<number>, clock: Clock.Clock) {
    super(scope)
    this.statuses = statuses
    this.clock = clock
  }

  override start(call: Call, transport: Transport["Service"], request: Request): () => void {
    this.running = call
    this.origin = request.upstream.origin
    const cutOff = super.start(call, transport, request)
    // An answer that came at once found nothing to stop yet.
    if (this.isThrownAway) this.stop?.()
    return cutOff
  }

  override answer(response: Response): void {
    if (this.isThrownAway) return
    const failure = this.worthless(response)
    if (failure === undefined) return super.answer(response)
    this.isThrownAway = true
    this.stop?.()
    super.end(Exit.fail(failure))
  }

  override end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.isThrownAway) return
    const failure = exit._tag === "Success" ? this.worthless(exit.value) : undefined
    super.end(failure === undefined ? exit : Exit.fail(failure))
  }

  private worthless({ headers, status }: Response): UpstreamError | undefined {
    if (!this.statuses.has(status)) return undefined
    const failure = new UpstreamError({
      phase: "head",
      origin: this.origin,
      cause: new Error(`the status was ${status}`),
      status,
      retryAfter: this.retryAfter(headers)
    })
    return this.running!.mayRetry(failure) ? failure : undefined
  }

  private retryAfter(headers: HeaderList.HeaderList): Duration.Duration | undefined {
    const value = HeaderList.get(headers, "retry-after")
    const parsed = value === undefined ? undefined : Result.getOrUndefined(Headers.parseRetryAfter(value))
    return parsed && Headers.retryAfterDelay(parsed, this.clock.currentTimeMillisUnsafe())
  }
}
