import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { duration } from "../InvalidOptions.ts"
import type * as RetryBudget from "../RetryBudget.ts"
import type { Timers } from "./Timers.ts"

export const BudgetTypeId = "~@blackgate/core/RetryBudget"

const amount = (most: string) =>
  Schema.Number.check(
    Schema.makeFilter((n: number) =>
      n >= 0 ? undefined : `expected a number of at least 0 (or Infinity, for ${most}), got ${n}`
    )
  )

/** What a budget can be made with. */
export const budgetOptions = Schema.Struct({
  ratio: Schema.optional(amount("no limit")),
  perSecond: Schema.optional(amount("no limit")),
  window: Schema.optional(duration)
})

/** Options with their defaults. */
export interface Settings {
  readonly ratio: number
  readonly perSecond: number
  readonly window: Duration.Duration
}

export const settingsOf = (
  options: RetryBudget.Options,
  defaults: { readonly ratio: number; readonly perSecond: number }
): Settings => ({
  ratio: options.ratio ?? defaults.ratio,
  perSecond: options.perSecond ?? defaults.perSecond,
  window: Duration.fromInputUnsafe(options.window ?? "10 seconds")
})

const slices = 10

const none = new Float64Array(0)

/**
 * What may be spent: a share of the calls in the window, and so much a second of it whatever the calls. The window moves by a tenth
 * of itself, so that whatever is done takes ten steps at the most.
 */
export class Budget {
  readonly [BudgetTypeId] = BudgetTypeId
  readonly name: string
  readonly timers: Timers
  readonly settings: Settings
  private readonly width: number
  // Granted whether or not there are calls.
  private readonly reserve: number
  // Nothing before the first call: most groups have none that could be sent again.
  private callsOf = none
  private spentOf = none
  private calls = 0
  private spent = 0
  private slice = 0

  constructor(name: string, settings: Settings, timers: Timers) {
    this.name = name
    this.timers = timers
    this.settings = settings
    const millis = Duration.toMillis(settings.window)
    this.width = millis / slices
    this.reserve = settings.perSecond * millis / 1000
  }

  /** A call: what it may cost later is a share of it. */
  deposit(now: number): void {
    this.moveTo(now)
    this.calls++
    this.callsOf[this.slice % slices]!++
  }

  /** Takes one, if there is one. */
  spend(now: number): boolean {
    if (this.remaining(now) < 1) return false
    this.spent++
    this.spentOf[this.slice % slices]!++
    return true
  }

  /** How many could be taken now. */
  remaining(now: number): number {
    this.moveTo(now)
    const { ratio } = this.settings
    // A ratio of Infinity is no limit, before the first call too. A hundredth of a hundred is one, whatever floating point says.
    const granted = ratio === Infinity ? Infinity : ratio * this.calls + this.reserve
    return Math.max(0, Math.floor(granted - this.spent + 1e-9))
  }

  private moveTo(now: number): void {
    if (this.callsOf === none) {
      this.callsOf = new Float64Array(slices)
      this.spentOf = new Float64Array(slices)
    }
    const slice = Math.floor(now / this.width)
    const moved = slice - this.slice
    // A clock that went back a little is waited for; what is from its far future can't be.
    if (moved <= 0 && moved > -slices) return
    if (Math.abs(moved) >= slices) {
      this.callsOf.fill(0)
      this.spentOf.fill(0)
      this.calls = this.spent = 0
    } else {
      for (let number = this.slice + 1; number <= slice; number++) {
        const at = number % slices
        this.calls -= this.callsOf[at]!
        this.spent -= this.spentOf[at]!
        this.callsOf[at] = this.spentOf[at] = 0
      }
    }
    this.slice = slice
  }
}
