import * as Effect from "effect/Effect"

/** A change that can be made: one of the two is to be run, once. */
export interface Prepared {
  readonly commit: Effect.Effect<void>
  /** Leaves everything as it was. */
  readonly abort: Effect.Effect<void>
}

/** Prepares one after the other: all of them, or none. */
export const all = <E>(steps: ReadonlyArray<Effect.Effect<Prepared, E>>): Effect.Effect<Prepared, E> =>
  Effect.gen(function*() {
    const done: Array<Prepared> = []
    const abort = Effect.suspend(() => Effect.forEach(done.toReversed(), ({ abort }) => abort, { discard: true }))
    for (const step of steps) done.push(yield* Effect.onError(step, () => abort))
    return { commit: Effect.forEach(done, ({ commit }) => commit, { discard: true }), abort }
  })
