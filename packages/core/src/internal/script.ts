/**
 * Scripts of a `TestDependency`. Their types are a promise about answers, which are untyped here.
 *
 * A script is data. Its *play* is what it says while time goes by and calls arrive: it answers each call, or says that it is over,
 * and since when, so that what comes next starts from there and not from the call that found out.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { checkUnsafe, whole } from "../InvalidOptions.ts"
import type { Behaviour } from "../TestDependency.ts"

export const TypeId = "~@blackgate/core/TestDependency/Behaviour"

export type Answer = Effect.Effect<unknown, unknown>

/** What a play is told of a call. */
export interface Arrival {
  readonly number: number
  readonly args: ReadonlyArray<unknown>
  /** Now, in milliseconds of the caller's clock. */
  readonly at: number
  /** How many are under way, this one included. */
  readonly load: number
  random(): number
  /** Answers when the test does. */
  readonly byHand: Answer
}

export interface Play {
  /** `undefined` when it is over. */
  answer(call: Arrival): Answer | undefined
  /** Since when it is over. */
  overAt: number
}

/** `goesOn` says whether a single answer is given for ever: in the last place of a sequence it is, in any other it is given once. */
export type Start = (at: number, goesOn: boolean) => Play

type Any = Behaviour<unknown, unknown, never>

export const startOf = (behaviour: Any): Start => behaviour[TypeId].start

const make = <A, E, Args>(start: Start): Behaviour<A, E, Args> => ({ [TypeId]: { start } })

/** One that answers every call for itself. */
const single = <A, E, Args>(answer: (call: Arrival) => Answer | undefined): Behaviour<A, E, Args> =>
  make((at, goesOn) => {
    let isOver = false
    const play: Play = {
      overAt: at,
      answer(call) {
        if (isOver) return undefined
        isOver = !goesOn
        play.overAt = call.at
        return answer(call)
      }
    }
    return play
  })

/** The same script, with something around each of its answers. */
const around = <A, E, Args>(
  script: Behaviour<A, E, Args>,
  wrapOf: () => (answer: Answer) => Answer
): Behaviour<A, E, Args> =>
  make((at, goesOn) => {
    const [play, wrap] = [startOf(script)(at, goesOn), wrapOf()]
    return {
      get overAt() {
        return play.overAt
      },
      answer(call) {
        const answer = play.answer(call)
        return answer === undefined ? undefined : wrap(answer)
      }
    }
  })

export const effect = <A, E>(answer: Effect.Effect<A, E>): Behaviour<A, E> => single(() => answer)

export const hang: Behaviour<never> = single((call) => call.byHand)

export const after = <A, E, Args>(
  duration: Duration.Input,
  script: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => around(script, () => Effect.delay(Duration.fromInputUnsafe(duration)))

export const uninterruptible = <A, E, Args>(script: Behaviour<A, E, Args>): Behaviour<A, E, Args> =>
  around(script, () => Effect.uninterruptible)

export const lingering = <A, E, Args>(
  duration: Duration.Input,
  script: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => around(script, () => Effect.onInterrupt(() => elsewhere(Effect.sleep(duration))))

// `TestClock`'s first sleep is cut short on a fiber that has been interrupted.
const elsewhere = (effect: Effect.Effect<void>) =>
  Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), Fiber.await)

export const capacity = <A, E, Args>(permits: number, script: Behaviour<A, E, Args>): Behaviour<A, E, Args> => {
  checkUnsafe("TestDependency.capacity", whole(1), permits)
  return around(script, () => Semaphore.makeUnsafe(permits).withPermits(1))
}

export const sequence = <A, E, Args>(scripts: ReadonlyArray<Any>): Behaviour<A, E, Args> =>
  make((at, goesOn) => {
    let next = 0
    const start = (at: number): Play | undefined => {
      const script = scripts[next++]
      return script === undefined ? undefined : startOf(script)(at, goesOn && next === scripts.length)
    }
    let current = start(at)
    const play: Play = {
      overAt: at,
      answer(call) {
        while (current !== undefined) {
          const answer = current.answer(call)
          if (answer !== undefined) return answer
          play.overAt = current.overAt
          current = start(play.overAt)
        }
        return undefined
      }
    }
    return play
  })

export const forever = <A, E, Args>(script: Behaviour<A, E, Args>): Behaviour<A, E, Args> =>
  make((at) => {
    let current = startOf(script)(at, false)
    const play: Play = {
      overAt: at,
      answer(call) {
        for (;;) {
          const answer = current.answer(call)
          if (answer !== undefined) return answer
          // One that was over as it began would be begun for ever.
          const next = startOf(script)(current.overAt, false)
          const first = next.answer(call)
          if (first === undefined && next.overAt === current.overAt) return undefined
          play.overAt = current.overAt
          current = next
          if (first !== undefined) return first
        }
      }
    }
    return play
  })

export const times = <A, E, Args>(count: number, script: Behaviour<A, E, Args>): Behaviour<A, E, Args> => {
  checkUnsafe("TestDependency.times", whole(0), count)
  const repeated = forever(script)
  return make((at) => {
    const inner = startOf(repeated)(at, true)
    let left = count
    const play: Play = {
      overAt: at,
      answer(call) {
        if (left === 0) return undefined
        left--
        play.overAt = call.at
        return inner.answer(call)
      }
    }
    return play
  })
}

export const during = <A, E, Args>(
  duration: Duration.Input,
  script: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  return make((at) => {
    const inner = startOf(script)(at, true)
    const play: Play = {
      overAt: at + millis,
      answer(call) {
        if (call.at >= play.overAt) return undefined
        const answer = inner.answer(call)
        if (answer === undefined) play.overAt = inner.overAt
        return answer
      }
    }
    return play
  })
}

export const by = <A, E, Args>(choose: (call: Arrival) => Any): Behaviour<A, E, Args> =>
  single((call) => startOf(choose(call))(call.at, true).answer(call))

export const byArgs = <A, E, Args extends ReadonlyArray<unknown>>(
  choose: (...args: Args) => Any
): Behaviour<A, E, Args> => by(({ args }) => choose(...args as Args)) // what it was called with, by its type

const share = Schema.Number.check(
  Schema.makeFilter((n: number) => n >= 0 && n <= 1 ? undefined : `expected a number of 0 to 1, got ${n}`)
)

export const withProbability = <A, E, Args>(
  probability: number,
  script: Any,
  otherwise: Any
): Behaviour<A, E, Args> => {
  checkUnsafe("TestDependency.withProbability", share, probability)
  return make((at, goesOn) => {
    const [one, other] = [startOf(script)(at, true), startOf(otherwise)(at, true)]
    const either: Behaviour<A, E, Args> = single((call) => (call.random() < probability ? one : other).answer(call))
    return startOf(either)(at, goesOn)
  })
}
