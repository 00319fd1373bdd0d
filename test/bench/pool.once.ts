// One measure of `pool.ts`, in a process of its own.
import { Command, Group, Pool } from "@blackgate/core"
import { Effect, Exit, Scope, Semaphore } from "effect"
import { answer, argument } from "./fresh.ts"

/** What the waiting calls wait for. */
export type Subject =
  /** Nothing but their turn: fibers, each with a callback that is called in its turn. What Effect itself costs. */
  | "fibers"
  /** Pool.withPermit */
  | "pool"
  /** A command with a timeout. */
  | "command"
  /** Semaphore.withPermits */
  | "semaphore"

export interface Options {
  readonly subject: Subject
  /** How many stand in the line. */
  readonly waiters: number
  /** What a call does once it has its permit: nothing, or one turn of the scheduler. */
  readonly work: "sync" | "async"
  /**
   * `drain`: as many as that join the line, then all are served, again and again. `steady`: whoever has been served joins again, so
   * that the line stays as long as it is. `memory`: they join, and the heap is weighed.
   */
  readonly measure: "drain" | "steady" | "memory"
  /** How many calls are made in all. */
  readonly calls: number
}

export interface Measured {
  readonly wallNs: number
  readonly cpuNs: number
  /** Of the heap, for each call that waits. */
  readonly bytes: number
}

type Guard = (work: Effect.Effect<void>) => Effect.Effect<void, unknown>

const guardOf = async (subject: Subject): Promise<Guard> => {
  const pool = { maxConcurrent: 1, maxQueued: Infinity }
  const scope = Scope.makeUnsafe()
  switch (subject) {
    case "fibers":
      return turns()
    case "pool":
      return Pool.withPermit(await Effect.runPromise(Scope.provide(Pool.make("bench", pool), scope)))
    case "command":
      return Command.within(await Effect.runPromise(Scope.provide(Group.make("bench", { pool }), scope)), {
        key: "bench",
        timeout: "10 minutes"
      })
    case "semaphore":
      return Semaphore.makeUnsafe(1).withPermits(1)
  }
}

// As little as a line can be. A call that is resumed may end at once, so one loop serves them, or they would nest.
const turns = (): Guard => {
  let line: Array<() => void> = []
  let next = 0
  let busy = false
  let serving = false
  const serve = () => {
    if (serving) return
    serving = true
    while (!busy && next < line.length) {
      busy = true
      const resume = line[next]!
      line[next++] = done
      resume()
    }
    if (next === line.length) {
      line = []
      next = 0
    }
    serving = false
  }
  const leave = Effect.sync(() => {
    busy = false
    serve()
  })
  return (work) => {
    const turn = Effect.callback<void>((resume) => {
      if (busy || next < line.length) line.push(() => resume(Effect.void))
      else {
        busy = true
        resume(Effect.void)
      }
    })
    return Effect.andThen(turn, Effect.ensuring(work, leave))
  }
}
const done = () => {}

const { calls, measure, subject, waiters, work } = argument<Options>()
const guard = await guardOf(subject)
const run = work === "sync" ? Effect.void : Effect.yieldNow

/** Someone who has the permit until told otherwise, so that the line can grow behind. */
const occupy = (): () => void => {
  let release: () => void = done
  Effect.runFork(guard(Effect.callback<void>((resume) => {
    release = () => resume(Effect.void)
  })))
  return () => release()
}

let left = 0
let finished: () => void = done
const finish = (exit: Exit.Exit<void, unknown>) => {
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
  if (--left === 0) finished()
}
const all = (count: number) => {
  left = count
  return new Promise<void>((resolve) => {
    finished = resolve
  })
}

const drain = async (count: number) => {
  const call = guard(run)
  const over = all(count)
  const release = occupy()
  for (let i = 0; i < count; i++) Effect.runFork(call).addObserver(finish)
  release()
  await over
}

/** As many fibers as stand in the line; each comes back until there have been enough calls. */
const steady = async (count: number, total: number) => {
  let more = total
  const call = guard(run)
  const again: Effect.Effect<void, unknown> = Effect.whileLoop({
    while: () => more-- > 0,
    body: () => call,
    step: done
  })
  const over = all(count)
  const release = occupy()
  for (let i = 0; i < count; i++) Effect.runFork(again).addObserver(finish)
  release()
  await over
}

const timed = async (go: () => Promise<void>): Promise<Measured> => {
  globalThis.gc!()
  const cpu = process.cpuUsage()
  const from = process.hrtime.bigint()
  await go()
  const wall = Number(process.hrtime.bigint() - from)
  const { system, user } = process.cpuUsage(cpu)
  return { wallNs: wall / calls, cpuNs: (user + system) * 1000 / calls, bytes: 0 }
}

switch (measure) {
  case "drain": {
    // The code is warm before it is timed, as long as that is.
    for (let i = 0; i < 20_000; i += 100) await drain(100)
    answer(
      await timed(async () => {
        for (let made = 0; made < calls; made += waiters) await drain(waiters)
      })
    )
    break
  }
  case "steady": {
    await steady(100, 20_000)
    answer(await timed(() => steady(waiters, calls)))
    break
  }
  case "memory": {
    await drain(1000)
    globalThis.gc!()
    const before = process.memoryUsage().heapUsed
    const call = guard(run)
    const release = occupy()
    for (let i = 0; i < waiters; i++) Effect.runFork(call).addObserver(finish)
    globalThis.gc!()
    const bytes = (process.memoryUsage().heapUsed - before) / waiters
    const over = all(waiters)
    release()
    await over
    answer({ wallNs: 0, cpuNs: 0, bytes })
  }
}
