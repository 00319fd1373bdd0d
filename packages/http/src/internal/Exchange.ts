import type { Completion, Running } from "@blackgate/core/Command"
import type { Criticality } from "@blackgate/core/Criticality"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Request, Response, Transport } from "../Transport.ts"
import { isSwitched } from "../Upgrade.ts"
import { UpstreamError } from "../UpstreamError.ts"
import type { Sending } from "./callContext.ts"
import * as Failures from "./failures.ts"
import { unusable } from "./sendable.ts"

type Ended = Exit.Exit<Response, UpstreamError>

/**
 * One exchange with the upstream: told how it went, and able to give it up.
 *
 * What ends it is kept in fields, not in a closure over them: with that, what a request had made outlived young generations, and a
 * request cost half as much again.
 */
export class Exchange implements Completion<Response, UpstreamError> {
  /** What the upstream is told about the call. */
  send: { readonly sending: Sending; readonly criticality: Criticality } | undefined = undefined
  private call: Completion<Response | HttpServerResponse, UpstreamError> | undefined = undefined
  private request: Request | undefined = undefined
  protected stop: (() => void) | undefined = undefined
  private over = false
  private answered = false
  /** Why it broke off, for the log: no fallback has heard of it. */
  private broke: string | undefined = undefined
  protected readonly scope: Scope.Scope

  /** In the scope of its request. */
  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  start(
    call: Running<Response | HttpServerResponse, UpstreamError>,
    transport: Transport["Service"],
    request: Request
  ): () => void {
    const { send } = this
    this.call = call
    this.request = send === undefined
      ? request
      : { ...request, headers: send.sending.write(request.headers, call.remaining(), send.criticality) }
    this.stop = transport.send(this.request, this)
    return () => this.cutOff()
  }

  // After its answer, a call is stopped by nothing but its time.
  private cutOff(): void {
    if (this.answered && !this.over) {
      this.broke ??= `${this.request!.upstream.origin} was cut off: the total time was up`
    }
    this.stop?.()
  }

  answer(response: Response): void {
    const why = wrong(response)
    if (why === undefined) this.settle(response)
    else {
      this.end(strange(this.request!, why))
      this.stop?.()
    }
  }

  end(exit: Ended): void {
    this.over = true
    if (exit._tag === "Success") {
      const why = wrong(exit.value)
      return this.call!.end(why === undefined ? exit : strange(this.request!, why))
    }
    const failure = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    const isClients = failure?.side === "client"
    if (failure !== undefined && (this.answered || isClients)) this.broke = failure.message
    if (!isClients) return this.call!.end(exit)
    // It is no failure of the call.
    if (!this.answered) this.settle(Failures.requestTimeout)
    this.call!.end(Exit.interrupt())
  }

  // Whatever becomes of a response, its exchange ends with the request. Before there is one, that is the call's business.
  private settle(response: Response | HttpServerResponse): void {
    this.answered = true
    Effect.runSync(Scope.addFinalizer(this.scope, Effect.suspend(() => this.close())))
    this.call!.answer(response)
  }

  /** The request is over. */
  close(): Effect.Effect<void> {
    if (!this.over && this.stop !== undefined) {
      this.stop()
      this.call!.end(Exit.interrupt())
    }
    return this.broke === undefined ? Effect.void : Effect.logWarning(this.broke)
  }
}

const wrong = (response: Response): string | undefined => isSwitched(response) ? undefined : unusable(response)

// Effect's servers would answer a 500 for it, without a word of why.
const strange = ({ upstream }: Request, why: string): Exit.Exit<never, UpstreamError> =>
  Exit.fail(new UpstreamError({ phase: "head", origin: upstream.origin, cause: new Error(why) }))
