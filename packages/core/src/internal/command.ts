/**
 * Commands, untyped: `Command.ts` says what the types are. Types of effects that are inferred whole can't be followed through the
 * body of a generic function, so here they are `any`.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import type * as Group from "../Group.ts"
import { checkUnsafe } from "../InvalidOptions.ts"
import { Call } from "./Call.ts"
import { type Attempt, CallbackWork } from "./CallbackWork.ts"
import { EffectWork } from "./EffectWork.ts"
import { rescue } from "./Fallback.ts"
import type { Plan, Work } from "./Gate.ts"
import { groupIn, groupOf, type GroupState } from "./GroupState.ts"
import { heldIn } from "./Held.ts"
import { passWork } from "./pass.ts"
import { compile, list, optionsOf } from "./policies.ts"
import type { Spec } from "./Policy.ts"
import { PromiseWork } from "./PromiseWork.ts"

export const TypeId = "~@blackgate/core/Command"

type Ref = Group.Ref<any>
type PlanIn = (context: Context.Context<never>) => Plan
type AnyEffect = Effect.Effect<any, any, any>

const detach = Schema.optional(Schema.Boolean)
const ofMake = optionsOf("command", ["total"], { detach, group: Schema.Unknown })
const ofWithin = optionsOf("command", ["total", "fallback", "coalesce", "stale"], { detach, key: Schema.String })
const ofCallback = optionsOf("command", ["hedge", "coalesce", "stale"], { detach, group: Schema.Unknown })

/** What a command does in a group is worked out on its first call there, and kept for as long as the group stays the same. */
const compiler = (spec: Spec, ref: Ref): PlanIn => {
  let compiled: Plan | undefined
  let last: GroupState | undefined
  const find = groupIn(ref)
  return (context) => {
    const group = find(context)
    if (compiled === undefined || group !== last) {
      compiled = compile(spec, group)
      last = group
    }
    return compiled
  }
}

const command = (key: string, options: any, own: Work): any => {
  const { group, ...policies } = options
  const spec: Spec = { ...policies, key }
  // In a group that is a value it is the same wherever it is called.
  let plan: Plan | undefined
  const planIn = Context.isKey(group) ? compiler(spec, group) : () => plan ??= compile(spec, group)
  return Object.assign((...args: ReadonlyArray<any>) => passWork(plan ?? planIn, args, own), {
    [TypeId]: { spec, group, own, planIn },
    key
  })
}

export const make = (key: string, run: (...args: Array<any>) => AnyEffect, options: any): any => {
  checkUnsafe(key, ofMake, options)
  return command(key, options, new EffectWork(run))
}

export const callback = (
  key: string,
  register: (call: Attempt, ...args: Array<any>) => (() => void) | void,
  options: any
): any => {
  checkUnsafe(key, ofCallback, options)
  return command(key, options, CallbackWork.of(register))
}

export const promise = (
  key: string,
  run: (attempt: any, ...args: Array<any>) => PromiseLike<any>,
  { catch: failure, ...options }: any
): any => {
  checkUnsafe(key, ofMake, options)
  return command(key, { detach: true, ...options }, new PromiseWork(run, failure))
}

// In this order: the first tells most of them, the second costs as much as a gate.
const isEnding = (said: any): said is Exit.Exit<any, any> => said._tag === "Success" || Exit.isExit(said)

export const promisify = (command: any): any =>
  Effect.contextWith((context: Context.Context<never>) => {
    const { own, planIn } = command[TypeId]
    const span = Context.getOrUndefined(context, Tracer.ParentSpan)
    return Effect.succeed((...args: ReadonlyArray<any>) =>
      new Promise((resolve, reject) => {
        const hear = (exit: Exit.Exit<any, any>) =>
          exit._tag === "Success" ? resolve(exit.value) : reject(Cause.squash(exit.cause))
        // No fiber is forked but for what answers instead of a call.
        const resume = (said: AnyEffect) =>
          isEnding(said)
            ? hear(said)
            : Effect.runForkWith(context)(said as Effect.Effect<any, any>).addObserver(hear)
        new Call(planIn(context), own, args, context, span, resume, undefined, heldIn(context)).advance()
      })
    )
  })

/** What was made of the options of `within`: applied to many effects, they are checked once. */
const known = new WeakMap<object, { readonly group: Ref; readonly planIn: PlanIn }>()

export const within = (self: AnyEffect, group: Ref, options: any): any => {
  let made = known.get(options)
  if (made?.group !== group) {
    checkUnsafe(options.key, ofWithin, options)
    known.set(options, made = { group, planIn: compiler(options, group) })
  }
  return passWork(made.planIn, [], new EffectWork(() => self))
}

export const policiesOf = (command: any): any =>
  Effect.contextWith((context: Context.Context<never>) => {
    const { group, spec } = command[TypeId]
    return Effect.succeed(list(spec, groupOf(group, context)))
  })

export const orElse = (self: AnyEffect, fallback: (failure: any) => AnyEffect): any => rescue(self, fallback)
