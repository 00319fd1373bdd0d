import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Random } from "effect/Random"
import * as Schema from "effect/Schema"
import type * as AdaptiveLimit from "../AdaptiveLimit.ts"
import { CommandTimeout } from "../CommandError.ts"
import { duration, fraction, whole } from "../InvalidOptions.ts"
import type * as Pool from "../Pool.ts"
import { Aimd, Gradient } from "./AdaptiveLimitAlgorithm.ts"
import { AdaptiveLimitControl, samplesKept, type Settings } from "./AdaptiveLimitControl.ts"
import type { Call } from "./Call.ts"
import type { Admission, Ending, Gate } from "./Gate.ts"
import type { Policy } from "./Policy.ts"
import { finite } from "./poolOptions.ts"
import type { PoolState } from "./PoolState.ts"

export const AdaptiveLimitTypeId = "~@blackgate/core/AdaptiveLimit"

const number = (isIn: (n: number) => boolean, expected: string) =>
  Schema.Number.check(
    Schema.makeFilter((n: number) => isIn(n) && n !== Infinity ? undefined : `expected ${expected}, got ${n}`)
  )

const count = number(
  (n) => Number.isInteger(n) && n >= 1 && n <= samplesKept,
  `a whole number from 1 to ${samplesKept}`
)

const ofAlgorithm = {
  gradient: ["tolerance", "smoothing", "baseline"],
  aimd: ["target", "increase", "backoff"]
} as const

/** What a limit can be made with. */
export const adaptiveLimitOptions = Schema.Struct({
  algorithm: Schema.optional(Schema.Literals(["gradient", "aimd"])),
  min: Schema.optional(whole(1).check(finite)),
  initial: Schema.optional(whole(1).check(finite)),
  window: Schema.optional(duration),
  minimumCalls: Schema.optional(count),
  quantile: Schema.optional(fraction),
  tolerance: Schema.optional(number((n) => n >= 1, "a number of at least 1")),
  smoothing: Schema.optional(fraction),
  baseline: Schema.optional(Schema.Struct({
    every: Schema.optional(duration),
    calls: Schema.optional(count),
    jitter: Schema.optional(number((n) => n >= 0 && n <= 1, "a number from 0 to 1"))
  })),
  target: Schema.optional(duration),
  increase: Schema.optional(number((n) => n > 0, "a number of more than 0")),
  backoff: Schema.optional(number((n) => n > 0 && n < 1, "a number of more than 0 and less than 1"))
}).check(Schema.makeFilter((options) => {
  const { algorithm = "gradient", initial, min, target } = options
  const issues: Array<Schema.FilterIssue> = []
  const other = algorithm === "gradient" ? "aimd" : "gradient"
  for (const option of ofAlgorithm[other]) {
    if (options[option] === undefined) continue
    issues.push({ path: [option], issue: `expected with the algorithm "${other}" only` })
  }
  if (algorithm === "aimd" && target === undefined) {
    issues.push({
      path: ["target"],
      issue: "expected, because of the algorithm \"aimd\": from when on is a call slow?"
    })
  }
  if (initial !== undefined && min !== undefined && initial < min) {
    issues.push({ path: ["initial"], issue: `expected at least min, which is ${min}, got ${initial}` })
  }
  return issues
}))

/** What of it has to suit the pool. */
export const issuesOf = (
  { maxConcurrent }: Pool.Options,
  options: AdaptiveLimit.Options,
  path: ReadonlyArray<string>
): ReadonlyArray<Schema.FilterIssue> => {
  if (maxConcurrent === Infinity) {
    return [{
      path: ["pool", "maxConcurrent"],
      issue: "expected a finite ceiling for the adaptive limit, got Infinity"
    }]
  }
  const above = (["min", "initial"] as const).filter((option) => (options[option] ?? 1) > maxConcurrent)
  return above.map((option) => ({
    path: [...path, option],
    issue: `expected at most pool.maxConcurrent, which is ${maxConcurrent}, got ${options[option]}`
  }))
}

/** Options with their defaults. */
const settingsOf = (options: AdaptiveLimit.Options): Settings => {
  const min = options.min ?? Math.min(3, options.initial ?? 3)
  const common = {
    min,
    initial: options.initial ?? Math.max(20, min),
    window: Duration.toMillis(options.window ?? "100 millis"),
    minimumCalls: options.minimumCalls ?? 10
  }
  if (options.algorithm === "aimd") {
    const { backoff = 0.9, increase = 1, quantile = 0.9, target } = options
    const algorithm = new Aimd(Duration.toMillis(target), increase, backoff)
    return { ...common, algorithm, quantile, baseline: undefined }
  }
  const { baseline: { calls = 50, every = "1 minute", jitter = 0.15 } = {}, quantile = 0.5 } = options
  const algorithm = new Gradient(options.tolerance ?? 1.5, options.smoothing ?? 0.2)
  return { ...common, algorithm, quantile, baseline: { every: Duration.toMillis(every), calls, jitter } }
}

/** Has a limit drive a pool, from the pool's `maxConcurrent` down. */
export const drive = (pool: PoolState, options: AdaptiveLimit.Options): Effect.Effect<AdaptiveLimitControl> =>
  Effect.map(Random, (random) => {
    const control = new AdaptiveLimitControl(
      settingsOf(options),
      pool.maxConcurrent,
      pool.timers.now(),
      () => random.nextDoubleUnsafe(),
      (limit) => pool.limitTo(limit)
    )
    pool.moveCeiling = (ceiling) => control.moveCeiling(ceiling)
    return control
  })

/** Inside of the pool, so that it measures the work and not the wait; it lets everything in. */
export const adaptiveLimit: Policy<AdaptiveLimitControl> = {
  name: "adaptiveLimit",
  group: { adaptiveLimit: Schema.optional(adaptiveLimitOptions) },
  issues: ({ adaptiveLimit, pool }) =>
    adaptiveLimit === undefined ? [] : issuesOf(pool, adaptiveLimit, ["adaptiveLimit"]),
  measuresWork: () => true,
  isOn: ({ adaptiveLimit }) => adaptiveLimit !== undefined,
  share: (group, options) => drive(group.pool, options.adaptiveLimit!),
  settings: (_, group) => {
    const control = group.shared(adaptiveLimit)
    if (control === undefined) return undefined
    const { algorithm, baseline, initial, minimumCalls, quantile, window } = control.settings
    return {
      algorithm: algorithm.name,
      min: control.floor,
      max: control.ceiling,
      initial,
      window: Duration.millis(window),
      minimumCalls,
      quantile,
      ...algorithm.settings(),
      ...(baseline === undefined ? {} : { baseline: { ...baseline, every: Duration.millis(baseline.every) } })
    }
  },
  gate: (_, group) => new AdaptiveLimitGate(group.shared(adaptiveLimit)!, group.pool)
}

/** The gate of a command, and what an admitted call holds. */
export class AdaptiveLimitGate implements Gate, Admission {
  private readonly control: AdaptiveLimitControl
  private readonly pool: PoolState
  /** Calls that are counted, and have not ended yet. */
  private readonly early = new WeakSet<Call>()

  constructor(control: AdaptiveLimitControl, pool: PoolState) {
    this.control = control
    this.pool = pool
  }

  enter(): Admission {
    this.control.began(this.pool.active)
    return this
  }

  leave(call: Call, exit: Ending): void {
    if (!call.worked) return
    if ((call.answered || call.lingers) && this.early.delete(call)) return
    const { control } = this
    const now = call.now(this.pool.timers)
    const millis = now - call.workedFrom
    if (exit._tag === "Success") control.took(millis, call.workedFrom, now)
    else if (this.wasCutOff(call, millis)) control.took(Infinity, call.workedFrom, now)
    else if (call.rejection === undefined && !Cause.hasInterruptsOnly(exit.cause)) control.failed(now)
  }

  /** The head of an answer has come. How long it takes to read is the reader's doing. */
  answered(call: Call): void {
    // One that lingers is let go, not answered.
    if (!call.worked || call.lingers) return
    this.early.add(call)
    const now = this.pool.timers.now()
    this.control.took(now - call.workedFrom, call.workedFrom, now)
  }

  /** Work that does not stop at once may never: it counts when it should have. */
  linger(call: Call): void {
    if (!call.worked) return
    const now = this.pool.timers.now()
    if (!this.wasCutOff(call, now - call.workedFrom)) return
    this.early.add(call)
    this.control.took(Infinity, call.workedFrom, now)
  }

  // A deadline that was spent in the queue for the most part says of the work only that it was started too late.
  private wasCutOff(call: Call, millis: number): boolean {
    const { rejection } = call
    if (!(rejection instanceof CommandTimeout)) return false
    if (rejection.option === "attemptTimeout" || millis >= call.queuedFor) return true
    return millis > this.control.settings.algorithm.slowerThan(this.control.baseline)
  }
}
