import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Fiber from "effect/Fiber"
import { Call } from "./Call.ts"
import { EffectWork } from "./EffectWork.ts"
import type { Ending, Plan, Work } from "./Gate.ts"
import { heldIn } from "./Held.ts"

/** Work, begun once the gates have let it in. */
// Everything is done inside the register function: between a `suspend` and the effect that it returns the scheduler may yield, and
// an interruption there would skip the finalizer and keep a permit for ever.
export const passWork = (
  plan: Plan | ((context: Context.Context<never>) => Plan),
  args: ReadonlyArray<unknown>,
  own: Work
): Effect.Effect<unknown, unknown> =>
  Effect.callback<unknown, unknown>((resume) => {
    const { cache, context } = Fiber.getCurrent()!
    const compiled = typeof plan === "function" ? plan(context) : plan
    const call = new Call(compiled, own, args, context, cache.span, resume, undefined, heldIn(context))
    call.advance()
    return call.ended ? undefined : new Cancellation(call)
  })

/** What an interruption of the caller does. One object: a call that waits keeps it in memory. */
// By prototype alone it is an effect: `extends Effectable.Class` takes 50 ns to make one, a tenth of a call.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
class Cancellation {
  readonly call: Call

  constructor(call: Call) {
    this.call = call
  }
}
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
interface Cancellation extends Effect.Effect<void> {}
Object.setPrototypeOf(
  Cancellation.prototype,
  Effectable.Prototype<Cancellation>({
    label: "Cancellation",
    evaluate() {
      return Effect.callback<void>((resume) => this.call.cancel((exit) => resume(defectsOf(exit))))
    }
  })
)

/** All that an interrupted caller hears of how its work ended. */
export const defectsOf = (exit: Ending): Effect.Effect<void> => {
  const defects = exit._tag === "Success" ? [] : exit.cause.reasons.filter(Cause.isDieReason)
  return defects.length === 0 ? Effect.void : Effect.failCause(Cause.fromReasons(defects))
}

/** An effect, run once the gates have let it in: on a fiber of its own, in the caller's context. */
export const pass = (
  plan: Plan | ((context: Context.Context<never>) => Plan),
  args: ReadonlyArray<unknown>,
  effect: Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<unknown, unknown, unknown> => passWork(plan, args, new EffectWork(() => effect))
