import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Transition } from "../CircuitStore.ts"

/** How many transitions are kept for a reader that is slow; the oldest go first. */
const unread = 128

/** The transitions of a group's circuits, for whoever reads them. */
export interface Transitions {
  readonly stream: Stream.Stream<Transition>
  readonly publish: (transition: Transition) => Effect.Effect<void>
}

/** Until the scope is closed, which ends the streams. */
export const make: Effect.Effect<Transitions, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(PubSub.sliding<Transition>(unread), PubSub.shutdown),
  (pubsub) => ({
    stream: Stream.fromPubSub(pubsub),
    publish: (transition) => PubSub.publish(pubsub, transition)
  })
)

/** Says it in the log: whoever made the transition does, so that it is there once. */
export const log = ({ circuit, forced, from, group, to }: Transition): Effect.Effect<void> =>
  (to === "open" ? Effect.logWarning : Effect.logInfo)(
    `circuit ${circuit} of ${group}: ${from} -> ${to}${forced ? " (forced)" : ""}`
  )
