import { Command, Group, Pool } from "@blackgate/core"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

/** An upstream, and those who call it. */
export interface Scenario {
  readonly seed: number
  /** How many calls come in a second, on average, at times of their own. */
  readonly rate: number
  /** How long a request takes to be served, on average: from half of it to half as much again. */
  readonly serviceMillis: number
  readonly deadlineMillis: number
  readonly maxQueued: number
  readonly phaseSeconds: number
  readonly phases: ReadonlyArray<Phase>
}

/** How many requests the upstream serves at once, and how many times as long as usual it takes. */
interface Phase {
  readonly servers: number
  readonly slowdown?: number
}

/** How it went with those who called in a second. */
export interface Second {
  /** How many were answered before their deadline. */
  good: number
  /** How long those took that were let in, the wait in the pool included, in milliseconds; up to their deadline. */
  readonly took: Array<number>
  /** The limit at its end. */
  limit: number
}

/** A sequence of chance that is the same each time: mulberry32. */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

/**
 * Serves so many requests at once; the others wait, first come, first served. It does not notice that a caller has given up: the work
 * that nobody waits for any more is done all the same, as with most servers.
 */
class Upstream {
  private phase: Phase
  private busy = 0
  private readonly line: Array<{ readonly millis: number; readonly done: () => void }> = []
  private readonly after: (millis: number, what: () => void) => void

  constructor(phase: Phase, after: (millis: number, what: () => void) => void) {
    this.phase = phase
    this.after = after
  }

  turn(phase: Phase): void {
    this.phase = phase
    this.serve()
  }

  request(millis: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.line.push({ millis, done: () => resume(Effect.void) })
      this.serve()
    })
  }

  private serve(): void {
    while (this.busy < this.phase.servers) {
      const next = this.line.shift()
      if (next === undefined) return
      this.busy++
      this.after(next.millis * (this.phase.slowdown ?? 1), () => {
        this.busy--
        next.done()
        this.serve()
      })
    }
  }
}

const callers = function*({ phaseSeconds, phases, rate, seed, serviceMillis }: Scenario) {
  const random = seeded(seed)
  const end = phaseSeconds * phases.length * 1000
  for (let at = 0;;) {
    at += -Math.log(1 - random()) * 1000 / rate
    if (at >= end) return
    yield { at, millis: serviceMillis * (0.5 + random()) }
  }
}

/** Plays a scenario through a group, under TestClock. */
export const play = Effect.fnUntraced(
  function*(scenario: Scenario, options: Pick<Group.Options, "adaptiveLimit"> & { readonly maxConcurrent: number }) {
    const { deadlineMillis, maxQueued, phaseSeconds, phases } = scenario
    const { adaptiveLimit, maxConcurrent } = options
    const clock = yield* Effect.clockWith(Effect.succeed)
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const start = clock.currentTimeMillisUnsafe()
    const now = () => clock.currentTimeMillisUnsafe() - start
    const after = (millis: number, what: () => void) => void fork(Effect.delay(Effect.sync(what), millis))

    const upstream = new Upstream(phases[0]!, after)
    phases.forEach((phase, index) => after(index * phaseSeconds * 1000, () => upstream.turn(phase)))
    const group = yield* Group.make("upstream", { pool: { maxConcurrent, maxQueued }, adaptiveLimit })
    const call = Command.make("call", (millis: number) => upstream.request(millis), { group, timeout: deadlineMillis })

    const seconds: Array<Second> = Array.from(
      { length: phaseSeconds * phases.length },
      () => ({ good: 0, took: [], limit: 0 })
    )
    yield* Effect.forkScoped(Effect.gen(function*() {
      for (const { at, millis } of callers(scenario)) {
        yield* Effect.sleep(Duration.millis(at - now()))
        fork(call(millis)).addObserver((exit) => {
          const second = seconds[Math.floor(at / 1000)]!
          if (exit._tag === "Success") second.good++
          else if (exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error._tag === "PoolFull")) {
            return
          }
          second.took.push(now() - at)
        })
      }
    }))
    for (const second of seconds) {
      yield* TestClock.adjust("1 second")
      second.limit = (yield* Pool.statistics(group.pool)).maxConcurrent
    }
    yield* TestClock.adjust(deadlineMillis)
    return seconds
  },
  Effect.scoped
)

/** The seconds of a phase, without the first few. */
export const phaseOf = (
  { phaseSeconds }: Scenario,
  seconds: ReadonlyArray<Second>,
  phase: number,
  after = 0
): ReadonlyArray<Second> => seconds.slice(phase * phaseSeconds + after, (phase + 1) * phaseSeconds)

/** How many were answered in time, a second. */
export const goodput = (seconds: ReadonlyArray<Second>): number =>
  seconds.reduce((sum, { good }) => sum + good, 0) / seconds.length

/** Which time 99 % of those stayed below that were let in, in milliseconds. */
export const p99 = (seconds: ReadonlyArray<Second>): number => {
  const all = seconds.flatMap(({ took }) => took).toSorted((a, b) => a - b)
  return all[Math.ceil(all.length * 0.99) - 1]!
}

/** How long those took on average that were let in, in milliseconds. */
export const mean = (seconds: ReadonlyArray<Second>): number => {
  const all = seconds.flatMap(({ took }) => took)
  return all.reduce((sum, millis) => sum + millis, 0) / all.length
}
