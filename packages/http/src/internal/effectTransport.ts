import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Request, Response, Transport } from "../Transport.ts"
import { UpstreamError } from "../UpstreamError.ts"

/** A transport of an effect that ends with the head of the response; its scope is open until the body has ended. */
export const fromEffect = <R>(
  context: Context.Context<Exclude<R, Scope.Scope>>,
  exchange: (request: Request) => Effect.Effect<Response, UpstreamError, R>
): Transport["Service"] => ({
  send(request, call) {
    const scope = Scope.makeUnsafe()
    const givenUp = Deferred.makeUnsafe<never, UpstreamError>()
    const broken = (cause: unknown) =>
      new UpstreamError({ phase: "body", timedOut: cause === silent, origin: request.upstream.origin, cause })
    let over = false
    const end = (exit: Exit.Exit<Response, UpstreamError>) => {
      if (over) return
      over = true
      call.end(exit)
      Effect.runFork(Scope.close(scope, exit))
    }
    const fiber = Effect.runForkWith(context)(Scope.provide(exchange(request), scope))
    fiber.addObserver((exit) => {
      // A body that is too long is the client's doing.
      if (exit._tag === "Failure") return end(isTooLong(request) ? Exit.interrupt() : exit)
      const response = exit.value
      if (response.body._tag !== "Stream") return end(exit)
      const { contentLength, contentType, stream } = response.body
      const body = stream.pipe(
        untilIdle(request),
        Stream.mapError(broken),
        Stream.interruptWhen(Deferred.await(givenUp)),
        Stream.onExit((exit) => Effect.sync(() => end(Exit.map(exit, () => response))))
      )
      call.answer({ ...response, body: HttpBody.stream(body, contentType, contentLength) })
    })
    return () => {
      fiber.interruptUnsafe()
      // Whoever reads the body sees it break off.
      if (!over) Deferred.doneUnsafe(givenUp, Exit.fail(broken(new Error("the exchange was given up"))))
      end(Exit.interrupt())
    }
  }
})

const isTooLong = ({ body }: Request): boolean => body._tag === "Incoming" && body.limit?.take(0) === false
const silent = new Error("it was silent for too long")

const untilIdle =
  ({ idle }: Request) => <E>(stream: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, unknown> =>
    idle === undefined ? stream : Stream.timeoutOrElse(stream, {
      duration: idle,
      orElse: () => Stream.fail(silent)
    })
