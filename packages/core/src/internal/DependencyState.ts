import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type { Arguments, Behaviour, Call, TestDependency } from "../TestDependency.ts"
import { ending } from "./ending.ts"
import { type Answer, type Arrival, type Play, startOf } from "./script.ts"

/** One call: what the script is told of it, and what the test reads. */
class CallState<A, E, Args> implements Arrival, Call<A, E, Args> {
  readonly number: number
  readonly args: Arguments<Args>
  readonly startedAt: number
  readonly load: number
  endedAt: number | undefined = undefined
  exit: Exit.Exit<unknown, unknown> | undefined = undefined
  private readonly context: Context.Context<never>
  private given: Deferred.Deferred<Answer> | undefined = undefined

  constructor(number: number, args: Arguments<Args>, load: number, context: Context.Context<never>) {
    this.number = number
    this.args = args
    this.load = load
    this.context = context
    this.startedAt = this.now()
  }

  readonly byHand: Answer = Effect.suspend(() => {
    const given = this.given = Deferred.makeUnsafe<Answer>()
    return Effect.flatten(Deferred.await(given))
  })

  get hangs(): boolean {
    return this.exit === undefined && this.given !== undefined && !Deferred.isDoneUnsafe(this.given)
  }

  get state(): string {
    return this.exit === undefined ? "running" : ending(this.exit)
  }

  readonly succeed = (value: A) => this.answer(Effect.succeed(value))
  readonly fail = (failure: E) => this.answer(Effect.fail(failure))
  readonly die = (defect: unknown) => this.answer(Effect.die(defect))

  answer(answer: Answer): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.given !== undefined && this.hangs) return Effect.asVoid(Deferred.succeed(this.given, answer))
      const why = this.exit !== undefined ? `it has ended: ${ending(this.exit)}` : "it does not hang"
      return Effect.die(new Error(`call ${this.number} can't be answered by hand, because ${why}`))
    })
  }

  get at(): number {
    return this.now()
  }

  random(): number {
    return Context.get(this.context, Random.Random).nextDoubleUnsafe()
  }

  private now(): number {
    return Context.get(this.context, Clock.Clock).currentTimeMillisUnsafe()
  }

  end(exit: Exit.Exit<unknown, unknown>): void {
    this.exit = exit
    this.endedAt = this.now()
  }
}

/** What answers are is a promise of the script's types. */
export class DependencyState<A, E, Args> implements TestDependency<A, E, Args> {
  readonly calls: Array<CallState<A, E, Args>> = []
  inFlight = 0
  maxInFlight = 0
  private play: Play
  private readonly unseen = Effect.runSync(Queue.unbounded<CallState<A, E, Args>>())
  private readonly waiting: Array<{ readonly n: number; readonly resume: (call: CallState<A, E, Args>) => void }> = []

  constructor(script: Behaviour<A, E, Args>, now: number) {
    this.play = startOf(script)(now, true)
  }

  get startedAt(): ReadonlyArray<number> {
    return this.calls.map(({ startedAt }) => startedAt)
  }

  get states(): ReadonlyArray<string> {
    return this.calls.map(({ state }) => state)
  }

  readonly call = (...args: Arguments<Args>): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const call = this.arrive(args, fiber.context)
        return Effect.onExit(restore(Effect.suspend(() => this.answerOf(call) as Effect.Effect<A, E>)), (exit) =>
          Effect.sync(() => {
            this.inFlight--
            call.end(exit)
          }))
      })
    )

  readonly become = (script: Behaviour<A, E, Args>): Effect.Effect<void> =>
    Effect.clockWith((clock) =>
      Effect.sync(() => {
        this.play = startOf(script)(clock.currentTimeMillisUnsafe(), true)
      })
    )

  readonly recover = (script: Behaviour<A, E, Args>): Effect.Effect<void> =>
    Effect.andThen(
      this.become(script),
      Effect.suspend(() =>
        // An answer may end another call that hangs, such as a hedge beside it.
        Effect.forEach(
          this.calls.filter(({ hangs }) => hangs),
          (call) => call.hangs ? call.answer(this.answerOf(call)) : Effect.void,
          { discard: true }
        )
      )
    )

  readonly next = Effect.suspend(() => Queue.take(this.unseen))

  readonly arrived = (n: number): Effect.Effect<CallState<A, E, Args>> =>
    Effect.callback((resume) => {
      const call = this.calls[n - 1]
      if (call !== undefined) return resume(Effect.succeed(call))
      const waiter = { n, resume: (call: CallState<A, E, Args>) => resume(Effect.succeed(call)) }
      this.waiting.push(waiter)
      return Effect.sync(() => {
        this.waiting.splice(this.waiting.indexOf(waiter), 1)
      })
    })

  private arrive(args: Arguments<Args>, context: Context.Context<never>): CallState<A, E, Args> {
    const call = new CallState(this.calls.length + 1, args, ++this.inFlight, context)
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight)
    this.calls.push(call)
    Queue.offerUnsafe(this.unseen, call)
    for (const waiter of this.waiting.filter(({ n }) => n === call.number)) {
      this.waiting.splice(this.waiting.indexOf(waiter), 1)
      waiter.resume(call)
    }
    return call
  }

  private answerOf(call: CallState<A, E, Args>): Answer {
    return this.play.answer(call)
      ?? Effect.die(new Error(`the script of the dependency is over: it has no answer to call ${call.number}`))
  }
}
