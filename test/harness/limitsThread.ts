// A thread that shares limits with others, and does as it is told.
import { Command, Group, SharedLimits } from "@blackgate/core"
import { Clock, Effect, Exit, Scope } from "effect"
import { parentPort, workerData } from "node:worker_threads"
import { SharedLimiter } from "../../packages/core/src/internal/SharedLimiter.ts"
import { SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { SharedRegion } from "../../packages/core/src/internal/SharedRegion.ts"

/** Words of what the threads count for the test, apart from what is tested. */
export const Count = { active: 0, most: 1, done: 8 } as const

/** So many at once, one after the other: so many in all, or until the thread is told to stop. */
export interface Load {
  readonly do: "calls"
  readonly group: Group.Options
  readonly atOnce: number
  readonly calls: number
  /** How many turns of the event loop a call takes. */
  readonly turns: number
}

/** Takes tokens without a pause, for so many milliseconds. */
export interface Tokens {
  readonly do: "tokens"
  readonly limit: number
  readonly window: number
  readonly algorithm: "token-bucket" | "fixed-window"
  readonly keys: ReadonlyArray<string | undefined>
  readonly millis: number
}

/** Of each key. Times are those of the takes. */
export type Taken = ReadonlyArray<{
  readonly admitted: number
  readonly first: number
  readonly lastAdmitted: number
  readonly lastRefused: number
}>

export interface Data {
  readonly memory: SharedArrayBuffer
  readonly counts: SharedArrayBuffer
  readonly member: number
  readonly task: Load | Tokens
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

const calls = async ({ counts, member, memory }: Data, { atOnce, calls, group: options, turns }: Load) => {
  const words = new Int32Array(counts)
  const scope = Scope.makeUnsafe()
  const group = await Effect.runPromise(
    Group.make("api", options).pipe(Effect.provide(SharedLimits.layer(memory, member)), Scope.provide(scope))
  )
  const work = Effect.acquireUseRelease(
    Effect.sync(() => {
      const active = Atomics.add(words, Count.active, 1) + 1
      for (let most = 0; (most = Atomics.load(words, Count.most)) < active;) {
        Atomics.compareExchange(words, Count.most, most, active)
      }
    }),
    () =>
      Effect.promise(async () => {
        for (let i = 0; i < turns; i++) await turn()
      }),
    () => Effect.sync(() => Atomics.sub(words, Count.active, 1))
  ).pipe(Command.within(group, { key: "k" }))
  let stop = false
  parentPort!.on("message", () => stop = true)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
  parentPort!.postMessage("ready")
  let left = calls
  const failures = new Set<string>()
  const one = async () => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- others modify it
    while (!stop && left-- > 0) {
      const exit = await Effect.runPromiseExit(work)
      if (Exit.isFailure(exit)) failures.add(String(exit.cause))
      else Atomics.add(words, Count.done + member, 1)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return Array.from(failures)
}

const tokens = ({ member, memory }: Data, task: Tokens): Taken => {
  const shared = SharedMemory.of(memory)!
  const clock = Effect.runSync(Clock.Clock)
  const region = new SharedRegion(shared, shared.join("api", member, Infinity)!, member)
  const limiter = new SharedLimiter(region, task, clock)
  const taken = task.keys.map(() => ({ admitted: 0, first: Infinity, lastAdmitted: 0, lastRefused: 0 }))
  const until = limiter.now() + task.millis
  // oxlint-disable-next-line no-unmodified-loop-condition -- others modify it
  for (let now = 0; now < until;) {
    task.keys.forEach((key, i) => {
      const of = taken[i]!
      now = limiter.now()
      of.first = Math.min(of.first, now)
      if (limiter.take(key, 1, now) > 0) of.lastRefused = now
      else {
        of.admitted++
        of.lastAdmitted = now
      }
    })
  }
  return taken
}

const data = workerData as Data | null
if (parentPort !== null && data?.task !== undefined) {
  const { task } = data
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
  parentPort.postMessage(task.do === "calls" ? await calls(data, task) : tokens(data, task))
  parentPort.close()
}
