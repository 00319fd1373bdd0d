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

// A circuit's key may be made of what clients say: it forges no line, and moves no cursor.
const visible = (key: string): string =>
  // oxlint-disable-next-line no-control-regex
  key.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Says it in the log: whoever made the transition does, so that it is there once. */
export const log = ({ circuit, forced, from, group, to }: Transition): Effect.Effect<void> =>
  (to === "open" ? Effect.logWarning : Effect.logInfo)(
    `circuit ${visible(circuit)} of ${group}: ${from} -> ${to}${forced ? " (forced)" : ""}`
  )
