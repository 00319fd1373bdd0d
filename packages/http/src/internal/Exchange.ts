import type { Completion, Running } from "@blackgate/core/Command"
import type { Criticality } from "@blackgate/core/Criticality"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Request, Response, Transport } from "../Transport.ts"
import { isSwitched } from "../Upgrade.ts"
import { UpstreamError } from "../UpstreamError.ts"
import type { Sending } from "./callContext.ts"
import { unusable } from "./sendable.ts"

/**
 * One exchange with the upstream: told how it went, and able to give it up.
 *
 * What ends it is kept in fields, not in a closure over them: with that, what a request had made outlived young generations, and a
 * request cost half as much again.
 */
export class Exchange implements Completion<Response, UpstreamError> {
  /** What the upstream is told about the call. */
  send: { readonly sending: Sending; readonly criticality: Criticality } | undefined = undefined
  private call: Completion<Response, UpstreamError> | undefined = undefined
  private request: Request | undefined = undefined
  private stop: (() => void) | undefined = undefined
  private over = false
  private answered = false
  private broke: UpstreamError | undefined = undefined
  private readonly scope: Scope.Scope

  /** In the scope of its request. */
  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  start(call: Running<Response, UpstreamError>, transport: Transport["Service"], request: Request): () => void {
    const { send } = this
    this.call = call
    this.request = send === undefined
      ? request
      : { ...request, headers: send.sending.write(request.headers, call.remaining(), send.criticality) }
    return this.stop = transport.send(this.request, this)
  }

  readonly answer = (response: Response): void => {
    const why = wrong(response)
    if (why === undefined) {
      this.answered = true
      // Whatever becomes of the response, its exchange ends with the request. Before there is one, that is the call's business.
      Effect.runSync(Scope.addFinalizer(this.scope, Effect.suspend(() => this.close())))
      this.call!.answer(response)
    } else {
      this.end(strange(this.request!, why))
      this.stop?.()
    }
  }

  readonly end = (exit: Exit.Exit<Response, UpstreamError>): void => {
    this.over = true
    if (this.answered && exit._tag === "Failure") this.broke = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    const why = exit._tag === "Success" ? wrong(exit.value) : undefined
    this.call!.end(why === undefined ? exit : strange(this.request!, why))
  }

  /** The request is over. No fallback has heard of a body that broke off: the log has. */
  close(): Effect.Effect<void> {
    if (!this.over && this.stop !== undefined) {
      this.stop()
      this.call!.end(Exit.interrupt())
    }
    return this.broke === undefined ? Effect.void : Effect.logWarning(this.broke.message)
  }
}

const wrong = (response: Response): string | undefined => isSwitched(response) ? undefined : unusable(response)

// Effect's servers would answer a 500 for it, without a word of why.
const strange = ({ upstream }: Request, why: string): Exit.Exit<never, UpstreamError> =>
  Exit.fail(new UpstreamError({ phase: "head", origin: upstream.origin, cause: new Error(why) }))
