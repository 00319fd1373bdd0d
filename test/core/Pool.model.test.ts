import { Command, Criticality, Group, Pool } from "@blackgate/core"
import { assert, it } from "@effect/vitest"
import { Effect, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { state, Work } from "./calls.ts"

const priorities: ReadonlyArray<Pool.Priority> = ["high", "normal", "low"]
const queueTimeout = 40

interface Arrival {
  readonly priority: Pool.Priority
  readonly criticality: Criticality.Criticality
  /** Its deadline in milliseconds, if it has one. */
  readonly timeout: number | undefined
  /** Whether its work can be interrupted. */
  readonly stubborn: boolean
  readonly detach: boolean
}

type Step =
  | { readonly step: "arrive"; readonly arrival: Arrival }
  /** The work of one of those that run ends. */
  | { readonly step: "finish"; readonly which: number }
  /** The caller of one of those that run or wait is interrupted. */
  | { readonly step: "interrupt"; readonly which: number }
  | { readonly step: "resize"; readonly maxConcurrent: number; readonly maxQueued: number }
  | { readonly step: "advance"; readonly millis: number }

/** A call, as the model sees it. */
interface Modelled extends Arrival {
  readonly id: number
  where: "waits" | "runs" | "is gone"
  /** What its caller has heard. */
  caller: string
  /** What its caller will hear when the work has ended, whatever the work says. */
  verdict: string | undefined
  overdue: boolean
  /** What time will do to it; of two at one instant the first in `order` comes first. */
  readonly due: Array<{ readonly kind: "timeout" | "queueTimeout"; readonly at: number; readonly order: number }>
}

/** The pool, as simple as can be: it looks at everything each time. */
class Model {
  now = 0
  admitted = 0
  rejected = 0
  queueTimeouts = 0
  shed = 0
  calls: Array<Modelled> = []
  private order = 0
  maxConcurrent: number
  maxQueued: number

  constructor(maxConcurrent: number, maxQueued: number) {
    this.maxConcurrent = maxConcurrent
    this.maxQueued = maxQueued
  }

  get running() {
    return this.calls.filter((call) => call.where === "runs")
  }
  get waiting() {
    return this.calls.filter((call) => call.where === "waits")
  }

  arrive(arrival: Arrival) {
    const call: Modelled = {
      ...arrival,
      id: this.calls.length,
      where: "is gone",
      caller: "running",
      verdict: undefined,
      overdue: false,
      due: []
    }
    this.calls.push(call)
    const due = (kind: "timeout" | "queueTimeout", millis: number | undefined) => {
      if (millis !== undefined) call.due.push({ kind, at: this.now + millis, order: this.order++ })
    }
    if (this.running.length < this.maxConcurrent) {
      due("timeout", arrival.timeout)
      this.admitted++
      call.where = "runs"
    } else if (this.waiting.length < this.maxQueued) {
      due("timeout", arrival.timeout)
      due("queueTimeout", queueTimeout)
      call.where = "waits"
    } else {
      this.rejected++
      const gives = this.maxQueued === 0 ? undefined : this.waiting
        .filter(({ criticality }) => Criticality.isMoreCritical(arrival.criticality, criticality))
        .toSorted((a, b) => Criticality.Order(a.criticality, b.criticality) || b.id - a.id)[0]
      if (gives === undefined) {
        call.caller = "PoolFull"
        return
      }
      this.shed++
      gives.where = "is gone"
      gives.caller = "PoolFull"
      due("timeout", arrival.timeout)
      due("queueTimeout", queueTimeout)
      call.where = "waits"
    }
  }

  finish(call: Modelled) {
    this.gone(call, call.verdict ?? "Success")
  }

  interrupt(call: Modelled) {
    this.stop(call, "Interrupt")
  }

  resize(maxConcurrent: number, maxQueued: number) {
    this.maxConcurrent = maxConcurrent
    this.maxQueued = maxQueued
    this.grant()
  }

  advance(millis: number) {
    const end = this.now + millis
    while (true) {
      const next = this.calls
        .flatMap((call) => call.due.map((due) => ({ ...due, call })))
        .filter(({ at, call, kind }) =>
          at <= end && (kind === "queueTimeout" ? call.where === "waits" : call.where !== "is gone")
        )
        .toSorted((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined) break
      this.now = next.at
      next.call.due.splice(next.call.due.findIndex(({ kind }) => kind === next.kind), 1)
      if (next.kind === "queueTimeout") {
        this.rejected++
        this.queueTimeouts++
        this.gone(next.call, "QueueTimeout")
      } else if (next.call.verdict === undefined) this.stop(next.call, "CommandTimeout")
    }
    this.now = end
  }

  private stop(call: Modelled, verdict: string) {
    if (call.where === "waits" || !call.stubborn) return this.gone(call, verdict)
    call.verdict = verdict
    call.overdue = true
    if (call.detach) call.caller = verdict
  }

  private gone(call: Modelled, ending: string) {
    call.where = "is gone"
    call.overdue = false
    if (call.caller === "running") call.caller = ending
    this.grant()
  }

  private grant() {
    while (this.running.length < this.maxConcurrent) {
      const next = this.waiting.toSorted((a, b) =>
        priorities.indexOf(a.priority) - priorities.indexOf(b.priority) || a.id - b.id
      )[0]
      if (next === undefined) {
        return
      }
      this.admitted++
      next.where = "runs"
    }
  }
}

const agrees = (steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const model = new Model(2, 3)
    const group = yield* Group.make("g", { pool: { maxConcurrent: 2, maxQueued: 3, queueTimeout } })
    const works: Array<Work> = []
    const callers: Array<Fiber.Fiber<unknown, unknown>> = []
    yield* Effect.addFinalizer(() => Effect.forEach(works, (work) => work.finish))

    const arrive = Effect.fnUntraced(function*({ criticality, detach, priority, stubborn, timeout }: Arrival) {
      const work = new Work()
      const run = stubborn ? Effect.uninterruptible(work.run) : work.run
      works.push(work)
      const call = run.pipe(
        Command.within(group, { key: "k", priority, detach, timeout }),
        Criticality.provide(criticality)
      )
      callers.push(yield* Command.queue(call))
    })

    for (const step of steps) {
      const live = model.calls.filter((call) => call.caller === "running")
      const { running } = model
      switch (step.step) {
        case "arrive": {
          model.arrive(step.arrival)
          yield* arrive(step.arrival)
          break
        }
        case "finish": {
          if (running.length === 0) break
          const { id } = running[step.which % running.length]!
          model.finish(model.calls[id]!)
          yield* works[id]!.finish
          break
        }
        case "interrupt": {
          if (live.length === 0) break
          const { id } = live[step.which % live.length]!
          model.interrupt(model.calls[id]!)
          callers[id]!.interruptUnsafe()
          break
        }
        case "resize": {
          model.resize(step.maxConcurrent, step.maxQueued)
          yield* Pool.resize(group.pool, { maxConcurrent: step.maxConcurrent, maxQueued: step.maxQueued })
          break
        }
        case "advance": {
          model.advance(step.millis)
          yield* TestClock.adjust(step.millis)
          break
        }
      }
      const { active, admitted, maxConcurrent, maxQueued, overdue, queued, queueTimeouts, rejected, shed } = yield* Pool
        .statistics(group.pool)
      assert.deepStrictEqual(
        {
          active,
          queued,
          overdue,
          admitted,
          rejected,
          queueTimeouts,
          shed,
          maxConcurrent,
          maxQueued,
          running: works.flatMap((work, id) => work.active === 1 ? [id] : []),
          callers: callers.map(state)
        },
        {
          active: model.running.length,
          queued: model.waiting.length,
          overdue: model.running.filter((call) => call.overdue).length,
          admitted: model.admitted,
          rejected: model.rejected,
          queueTimeouts: model.queueTimeouts,
          shed: model.shed,
          maxConcurrent: model.maxConcurrent,
          maxQueued: model.maxQueued,
          running: model.running.map(({ id }) => id),
          callers: model.calls.map(({ caller }) => caller)
        }
      )
    }
  })

const which = fc.nat(20)
const arrive: fc.Arbitrary<Step> = fc.record({
  step: fc.constant("arrive" as const),
  arrival: fc.record({
    priority: fc.constantFrom(...priorities),
    criticality: fc.constantFrom(...Criticality.levels),
    timeout: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
    stubborn: fc.boolean(),
    detach: fc.boolean()
  })
})
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: arrive },
  { weight: 3, arbitrary: fc.record({ step: fc.constant("finish" as const), which }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant("interrupt" as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({ step: fc.constant("advance" as const), millis: fc.integer({ min: 1, max: 30 }) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant("resize" as const),
      maxConcurrent: fc.integer({ min: 1, max: 4 }),
      maxQueued: fc.nat(4)
    })
  }
)

it(
  "4-9, 11, 27. a pool agrees with its model after every step, whatever arrives, ends, is interrupted, shed, resized or late",
  () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
        (steps) => Effect.runPromise(agrees(steps).pipe(Effect.scoped, Effect.provide(TestClock.layer())))
      ),
      { numRuns: 200 }
    ),
  60_000
)
