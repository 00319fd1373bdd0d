import { Command, Group } from "@blackgate/core"
import { Effect, Scope } from "effect"
const which = process.argv[2]!
const n = Number(process.argv[3] ?? 2_000_000)
const scope = Scope.makeUnsafe()
const pool = { maxConcurrent: 10, maxQueued: 10 }
const four = { timeout: "1 second", fallback: () => Effect.succeed(null) } as const
const everything = {
  ...four, attemptTimeout: "1 second", retry: {}, hedge: { after: "500 millis" },
  coalesce: { key: () => "one" }, stale: { key: () => "one", maxAge: "1 minute" }
} as const
const plain = await Effect.runPromise(Group.make("bench", { pool, circuit: { failureRate: 0.5 } }).pipe(Scope.provide(scope)))
const rich = await Effect.runPromise(Group.make("bench rich", { pool, circuit: { failureRate: 0.5, consecutive: 10, slowCallRate: 0.9, slowerThan: "1 second" }, rateLimit: { limit: 1_000_000_000, window: "1 second" } }).pipe(Scope.provide(scope)))
const full = await Effect.runPromise(Group.make("full", { pool: { maxConcurrent: 1 }, circuit: { failureRate: 0.5 } }).pipe(Scope.provide(scope)))
Effect.runFork(Effect.never.pipe(Command.within(full, { key: "forever" })))
const work = async () => 1
const eff = Effect.promise(work)
const sync = Effect.sync(() => 1)
const cases: any = {
  effect: Command.make("fetch", () => eff, { group: plain, ...four }),
  promise: Command.promise("promise", work, { group: plain, ...four }),
  sync: Command.make("sync", () => sync, { group: plain, ...four }),
  all: Command.make("all", () => eff, { group: rich, ...everything }),
  full: Command.make("full", () => eff, { group: full, ...four })
}
const command = cases[which]
const rounds = 6
for (let r = 0; r < rounds; r++) {
  const t = process.cpuUsage()
  if (process.argv[4] === "p") {
    const f = await Effect.runPromise(Command.promisify(command)) as any
    for (let i = 0; i < n; i++) await f()
  } else {
    let left = n
    await Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: () => command(), step: () => {} }) as any)
  }
  const c = process.cpuUsage(t)
  console.log(which, process.argv[4] ?? "", ((c.user + c.system) * 1000 / n).toFixed(0), "ns")
}
process.exit()
