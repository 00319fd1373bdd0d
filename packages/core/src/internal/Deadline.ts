import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { CommandTimeout } from "../CommandError.ts"
import { duration } from "../InvalidOptions.ts"
import type { Call } from "./Call.ts"
import type { Admission, Due, Gate } from "./Gate.ts"
import type { Policy } from "./Policy.ts"
import type { Timed, Timers } from "./Timers.ts"

type Bound = CommandTimeout["option"]

/**
 * Everything behind this gate, the wait at other gates included, is over in time; or, if it answers before it ends, is answered in
 * time (`total` bounds the end too).
 */
class Deadline implements Gate {
  readonly group: string
  readonly option: Bound
  readonly timeout: Duration.Duration
  readonly millis: number
  readonly timers: Timers

  constructor(group: string, option: Bound, timeout: Duration.Input, timers: Timers) {
    this.group = group
    this.option = option
    this.timeout = Duration.fromInputUnsafe(timeout)
    this.millis = Duration.toMillis(this.timeout)
    this.timers = timers
  }

  enter(call: Call): Admission {
    return new Entry(this, call)
  }
}

class Entry implements Timed, Due, Admission {
  index = -1
  order = 0
  readonly at: number
  readonly before: Due | undefined
  private over = false
  private readonly deadline: Deadline
  private readonly call: Call
  private readonly depth: number

  constructor(deadline: Deadline, call: Call) {
    this.deadline = deadline
    this.call = call
    this.depth = call.depth
    // A command's own bounds count from its start, which was read once; an attempt's from now.
    const from = deadline.option === "attemptTimeout" || call.startedAt === 0
      ? call.now(deadline.timers)
      : call.startedAt
    this.at = from + deadline.millis
    if (deadline.option === "attemptTimeout") call.attemptDeadline = this
    else if (this.at < call.deadlineAt) call.deadlineAt = this.at
    this.before = call.due
    call.due = this
  }

  set(): void {
    if (!this.over) this.deadline.timers.add(this)
  }

  answered(): void {
    if (this.deadline.option !== "total") this.leave()
  }

  leave(): void {
    this.over = true
    this.deadline.timers.remove(this)
  }

  elapse(): void {
    const { group, option, timeout } = this.deadline
    const { call, depth } = this
    call.abort(depth, new CommandTimeout(group, call.plan.key, option, timeout, call.ran))
  }
}

const bound = (option: Bound): Policy => ({
  name: option,
  command: { [option]: Schema.optional(duration) },
  settings: (spec) => {
    const timeout = spec[option]
    return timeout === undefined ? undefined : { [option]: Duration.fromInputUnsafe(timeout) }
  },
  gate: (spec, group) => new Deadline(group.name, option, spec[option]!, group.timers)
})

/** Bounds the call until it is answered, its wait for a permit included. */
export const timeout = bound("timeout")

/** Bounds the call until it has ended: for a callback, whose answer may come before. */
export const total = bound("total")

/** Bounds one attempt, from the start of its work. */
export const attemptTimeout = bound("attemptTimeout")
