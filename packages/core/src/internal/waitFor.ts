import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Call } from "./Call.ts"
import type { Place } from "./Gate.ts"

/**
 * Holds a call until a fiber has ended: a store that is elsewhere, say, has answered. A call that leaves meanwhile interrupts it; what
 * it had answered all the same is told to `late`.
 */
export const waitFor = <A, E>(
  call: Call,
  fiber: Fiber.Fiber<A, E>,
  heard: (exit: Exit.Exit<A, E>) => void,
  late?: (exit: Exit.Exit<A, E>) => void
): undefined => {
  const place: Place = { quit: () => fiber.interruptUnsafe() }
  call.hold(place)
  fiber.addObserver((exit) => {
    if (call.waitsAt(place)) heard(exit)
    else late?.(exit)
  })
}
