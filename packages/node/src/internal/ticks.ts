/**
 * What the engine knows of the objects that `process.nextTick` makes, kept.
 *
 * It notes their shape where they are made, weakly: a collection of the whole heap that finds none of them alive, as an app that builds
 * thousands of routes has before its first request, takes the note away, and from then on each tick is made by the engine's slow path.
 * There are some ten in a request: 2 µs.
 */
import { executionAsyncResource } from "node:async_hooks"

let tick: object | undefined

/** Keeps one of them. */
export const keepTick = (): void => {
  if (tick === undefined) process.nextTick(() => tick = executionAsyncResource())
}
