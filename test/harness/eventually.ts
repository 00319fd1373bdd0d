import { Clock, Effect } from "effect"

const bound = 10_000

/**
 * Waits, in real time, until something is so, and answers what it is. What is not so after ten seconds is a failure that says what
 * was waited for, and what there was instead.
 */
export const eventually = <A>(what: string, read: () => A | undefined | false | null, instead?: () => unknown) =>
  Effect.gen(function*() {
    const until = (yield* Clock.currentTimeMillis) + bound
    for (;;) {
      const value = read()
      if (value !== undefined && value !== false && value !== null) return value
      if ((yield* Clock.currentTimeMillis) > until) {
        return yield* Effect.die(
          new Error(`never came: ${what}${instead === undefined ? "" : `, but ${String(instead())}`}`)
        )
      }
      yield* Effect.sleep(2)
    }
  })

/** The same of what has to be asked with an effect. */
export const eventuallyEqual = <A>(what: string, expected: A, read: Effect.Effect<A>) =>
  Effect.gen(function*() {
    const wanted = JSON.stringify(expected)
    const until = (yield* Clock.currentTimeMillis) + bound
    for (;;) {
      const value = JSON.stringify(yield* read)
      if (value === wanted) return
      if ((yield* Clock.currentTimeMillis) > until) {
        return yield* Effect.die(new Error(`never came: ${what}: ${wanted}, but ${value}`))
      }
      yield* Effect.sleep(2)
    }
  })

/** Waits until a number has stood still for a while, and answers it: what has been sent when nobody reads, say. */
export const settled = (what: string, read: () => number) => {
  let last = read()
  let same = 0
  return eventually(`the standstill of ${what}`, () => {
    const now = read()
    same = now === last ? same + 1 : 0
    last = now
    return same > 100 ? { value: now } : undefined
  }, () => last).pipe(Effect.map(({ value }) => value))
}
