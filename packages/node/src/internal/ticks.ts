/**
 * What the engine knows of the objects that `process.nextTick` makes, kept.
 *
 * It notes their shape where they are made, weakly: a collection of the whole heap that finds none of them alive, as an app that builds
 * thousands of routes has before its first request, takes the note away, and from then on each tick is made by the engine's slow path.
 * In a proxied request that was 2 µs of 38.
 */
import { executionAsyncResource } from "node:async_hooks"

const kept: Array<object> = []

/** Keeps one of them, for as long as the process lasts. */
export const keepTick = (): void => process.nextTick(() => kept.push(executionAsyncResource()))
