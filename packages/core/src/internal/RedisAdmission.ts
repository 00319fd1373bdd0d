import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Redis from "effect/persistence/Redis"
import type { Refusal, Ticket } from "../CircuitStore.ts"
import type { Means } from "./redisMeans.ts"
import type { Timed } from "./Timers.ts"

/**
 * A call that waits to be let in, for so long and no longer. What was asked is never taken back: an answer that comes too late for
 * its call may be a probe's place, which has to be given back.
 */
export class RedisAdmission implements Timed {
  index = -1
  order = 0
  readonly at: number
  private readonly means: Means
  private readonly answers: number
  private resume: ((said: Effect.Effect<Ticket | Refusal>) => void) | undefined

  constructor(means: Means, resume: (said: Effect.Effect<Ticket | Refusal>) => void) {
    this.means = means
    this.resume = resume
    this.answers = means.health.answers
    this.at = means.timers.now() + means.timeout
  }

  ask(effect: Effect.Effect<Ticket | Refusal, Redis.RedisError>): void {
    this.means.timers.add(this)
    this.means.fork(effect).addObserver((exit) => this.heard(exit))
  }

  leave(): void {
    this.means.timers.remove(this)
    this.resume = undefined
  }

  elapse(): void {
    // It may have been this process that was too busy to look: it looks first.
    this.means.fork(Effect.sleep(1)).addObserver(() => {
      if (this.resume === undefined) return
      this.means.health.overdue(this.answers)
      this.answer(this.instead)
    })
  }

  /** The layer is closed: nobody will tell it that its time is over. */
  cease(): void {
    this.answer(this.instead)
  }

  private heard(exit: Exit.Exit<Ticket | Refusal, unknown>): void {
    if (exit._tag === "Failure") {
      // A key that is none, say: a bug of this call, which tells nothing of Redis.
      if (Cause.hasDies(exit.cause)) return this.answer(Effect.failCause(exit.cause as Cause.Cause<never>))
      this.means.health.failed(exit.cause)
      return this.answer(this.instead)
    }
    if (this.resume !== undefined) {
      this.means.health.answered()
      return this.answer(Effect.succeed(exit.value))
    }
    if (exit.value._tag === "Ticket") exit.value.settle("ignored", false)
  }

  private get instead(): Effect.Effect<Ticket | Refusal> {
    return Effect.succeed(this.means.instead)
  }

  private answer(said: Effect.Effect<Ticket | Refusal>): void {
    const { resume } = this
    this.leave()
    resume?.(said)
  }
}
