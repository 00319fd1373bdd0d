// What policies cost a call, beside the peers: one process, one caller, one call after the other; and a thousand callers at once.
import { Command, Group, type Pool } from "@blackgate/core"
import * as cockatiel from "cockatiel"
import { Effect, Exit, Scope, Semaphore } from "effect"
import { CircuitBreaker } from "effect/persistence"
import Opossum from "opossum"
import { interleaved } from "./fresh.ts"
import { median, type Report, rounded, type Row } from "./report.ts"

interface Case {
  readonly name: string
  readonly go: (calls: number) => Promise<unknown>
}

const calls = 100_000
const second = 1000
/** Nobody waits, and nothing is refused, unless a row says so. */
const limit = 10

const work = async () => 1
const async = Effect.promise(work)
const sync = Effect.sync(() => 1)

const effects = (name: string, call: () => Effect.Effect<unknown>): Case => ({
  name,
  go: (calls) => {
    let left = calls
    return Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: call, step: () => {} }))
  }
})

const promises = (name: string, call: () => Promise<unknown>): Case => ({
  name,
  go: async (calls) => {
    for (let i = 0; i < calls; i++) await call()
  }
})

const opossum = (run: () => Promise<number>) => {
  const breaker = new Opossum(run, {
    timeout: second,
    capacity: limit,
    errorThresholdPercentage: 50,
    resetTimeout: 3_600 * second
  })
  breaker.fallback(() => null)
  return breaker
}

const cockatielPolicy = () =>
  cockatiel.wrap(
    cockatiel.fallback(cockatiel.handleAll, null),
    cockatiel.timeout(second, cockatiel.TimeoutStrategy.Aggressive),
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 3_600 * second,
      breaker: new cockatiel.CountBreaker({ threshold: 0.5, size: 100 })
    }),
    cockatiel.bulkhead(limit)
  )

const pool: Pool.Options = { maxConcurrent: limit, maxQueued: limit }
/** The same four that opossum and cockatiel have. */
const four = { timeout: "1 second", fallback: () => Effect.succeed(null) } as const
const everything = {
  ...four,
  attemptTimeout: "1 second",
  retry: {},
  hedge: { after: "500 millis" },
  coalesce: { key: () => "one" },
  stale: { key: () => "one", maxAge: "1 minute" }
} as const

const groups = Effect.gen(function*() {
  const circuit = { failureRate: 0.5 }
  const plain = yield* Group.make("bench", { pool, circuit })
  const rich = yield* Group.make("bench, everything", {
    pool,
    circuit: { ...circuit, consecutive: 10, slowCallRate: 0.9, slowerThan: "1 second" },
    rateLimit: { limit: 1_000_000_000, window: "1 second" }
  })
  const full = yield* Group.make("bench, full", { pool: { maxConcurrent: 1 }, circuit })
  yield* Effect.forkScoped(Effect.never.pipe(Command.within(full, { key: "forever" })), { startImmediately: true })
  const broken = yield* Group.make("bench, open", { pool, circuit: { consecutive: 1, openFor: "1 hour" } })
  yield* Effect.ignore(Effect.fail("down").pipe(Command.within(broken, { key: "refused" })))
  return { plain, rich, full, broken }
})

const ours = Effect.gen(function*() {
  const { broken, full, plain, rich } = yield* groups
  const fetch = Command.make("fetch", () => async, { group: plain, ...four })
  const compute = Command.make("compute", () => sync, { group: plain, ...four })
  const promise = Command.promise("promise", work, { group: plain, ...four })
  const callback = Command.callback("callback", (call: Command.Completion<number>) => {
    work().then((value) => call.end(Exit.succeed(value)))
  }, { group: plain, ...four })
  const all = Command.make("all", () => async, { group: rich, ...everything })
  const noRoom = Command.make("refused", () => async, { group: full, ...four })
  const noCircuit = Command.make("refused", () => async, { group: broken, ...four })
  const bare = Command.make("refused", () => async, { group: full, timeout: "1 second" })
  return {
    admitted: [
      effects("ours, an effect", () => fetch()),
      effects("ours, a promise function", () => promise()),
      effects("ours, a callback", () => callback()),
      promises("ours, an effect, from a promise caller", yield* Command.promisify(fetch)),
      promises("ours, a promise function, from a promise caller", yield* Command.promisify(promise)),
      effects("ours, everything on", () => all())
    ],
    sync: [
      effects("ours, synchronous", () => compute()),
      promises("ours, synchronous, from a promise caller", yield* Command.promisify(compute))
    ],
    refused: [
      effects("ours, the pool is full", () => noRoom()),
      effects("ours, the circuit is open", () => noCircuit()),
      effects("ours, the pool is full, no fallback", () => Effect.exit(bare()))
    ],
    crowd: Command.make("crowd", () => Effect.yieldNow, {
      group: yield* Group.make("bench, crowd", { pool: { maxConcurrent: 10, maxQueued: 1000 } }),
      ...four
    })
  }
})

/** The nearest that Effect itself has. */
const stacked = Effect.gen(function*() {
  const semaphore = yield* Semaphore.make(limit)
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.rate({ threshold: 0.5, size: 100 }),
    openDuration: "1 hour"
  })
  const call = async.pipe(
    semaphore.withPermits(1),
    breaker.execute({ key: "stacked" }),
    Effect.timeout("1 second"),
    Effect.catch(() => Effect.succeed(null))
  )
  return effects("Effect's combinators, stacked", () => call)
})

/** A thousand fibers at once, whose work is one turn of the scheduler, on a pool of ten. */
const crowd = (name: string, call: () => Effect.Effect<unknown>): Case => ({
  name,
  go: async (calls) => {
    for (let done = 0; done < calls; done += 1000) {
      await Effect.runPromise(
        Effect.forEach(Array.from({ length: 1000 }), call, { concurrency: "unbounded", discard: true })
      )
    }
  }
})

const opossums = async () => {
  const promise = opossum(work)
  const computing = opossum((() => 1) as never) // its types want a promise; it takes what isn't one
  const full = opossum(() => new Promise(() => {}))
  for (let i = 0; i < limit; i++) void full.fire()
  const open = opossum(work)
  open.open()
  return {
    breakers: [promise, computing, full, open],
    async: promises("opossum", () => promise.fire()),
    sync: promises("opossum, synchronous", () => computing.fire()),
    refused: [
      promises("opossum, the capacity is used up", () => full.fire()),
      promises("opossum, the circuit is open", () => open.fire())
    ]
  }
}

const cpuNs = async ({ go }: Case): Promise<number> => {
  globalThis.gc?.()
  const from = process.cpuUsage()
  await go(calls)
  const { system, user } = process.cpuUsage(from)
  return (user + system) * 1000 / calls
}

export const run = async (
  { only, rounds = 9 }: { rounds?: number; only?: string }
): Promise<Omit<Report, "bench" | "node">> => {
  const scope = Scope.makeUnsafe()
  const made = await Effect.runPromise(
    Effect.all({ ours, stacked }).pipe(
      Scope.provide(scope),
      Effect.provide(CircuitBreaker.layerStoreMemory())
    )
  )
  const peer = await opossums()
  const cockatielOnly = cockatielPolicy()
  const semaphore = Semaphore.makeUnsafe(10)
  const tables: Record<string, ReadonlyArray<Case>> = {
    "An asynchronous function: timeout, pool, circuit, fallback, outcomes": [
      peer.async,
      promises("bare promise", work),
      effects("bare effect", () => async),
      promises("cockatiel", () => cockatielOnly.execute(work)),
      made.stacked,
      ...made.ours.admitted
    ],
    "A synchronous function: the same": [
      peer.sync,
      effects("bare effect, synchronous", () => sync),
      ...made.ours.sync
    ],
    "Refused, and answered by the fallback": [made.ours.admitted[0]!, ...made.ours.refused, ...peer.refused],
    "A thousand fibers at once on ten permits, each for one turn of the scheduler": [
      crowd("bare effect, at once", () => Effect.yieldNow),
      crowd("Effect's Semaphore", () => semaphore.withPermits(1)(Effect.yieldNow)),
      crowd("ours, four policies", () => made.ours.crowd())
    ]
  }
  const cases = [...new Set(Object.values(tables).flat())].filter(({ name }) =>
    only === undefined || name.includes(only) || name === "opossum"
  )
  for (const { go } of cases) await go(calls / 5)
  const ns = new Map(await interleaved(rounds, cases, cpuNs))
  for (const breaker of peer.breakers) breaker.shutdown()
  const rows = (cases: ReadonlyArray<Case>): ReadonlyArray<Row> => {
    const base = cases[0]!
    const ratio = (one: Case) => median(ns.get(one)!.map((value, round) => value / ns.get(base)![round]!))
    return cases.filter((one) => ns.has(one)).map((one) => ({
      call: one.name,
      "CPU ns": rounded(median(ns.get(one)!)),
      least: rounded(Math.min(...ns.get(one)!)),
      [`to ${base.name}`]: rounded(ratio(one))
    }))
  }
  return {
    rounds,
    tables: Object.fromEntries(Object.entries(tables).map(([name, cases]) => [name, rows(cases)]))
  }
}
