// A first look at what a command costs a call: one process, one caller, one call after the other.
import { Command, Group } from "@blackgate/core"
import { Effect, Exit, Scope } from "effect"
import { median, type Report, rounded, type Row } from "./report.ts"

export const about = "what a command costs a call, against a bare promise and a bare effect"

const calls = 100_000

type Case = readonly [name: string, go: (calls: number) => Promise<void>]

const work = async () => 1
const async = Effect.promise(work)
const sync = Effect.sync(() => 1)

const effects = (name: string, call: () => Effect.Effect<unknown>): Case => [
  name,
  (calls) => {
    let left = calls
    return Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: call, step: () => {} }))
  }
]

const cases = Effect.gen(function*() {
  const group = yield* Group.make("bench", { pool: { maxConcurrent: 10, maxQueued: 10 } })
  const full = yield* Group.make("bench, full", { pool: { maxConcurrent: 1 } })
  yield* Effect.forkScoped(Effect.never.pipe(Command.within(full, { key: "forever" })), { startImmediately: true })

  const policies = { timeout: "1 second", fallback: () => Effect.succeed(null) } as const
  const fetch = Command.make("fetch", () => async, { group, ...policies })
  const compute = Command.make("compute", () => sync, { group, ...policies })
  const refused = Command.make("refused", () => async, { group: full, ...policies })
  const callback = Command.callback("callback", (call: Command.Completion<number>) => {
    work().then((value) => call.end(Exit.succeed(value)))
  }, { group, ...policies })

  const list: ReadonlyArray<Case> = [
    ["bare promise", async (calls) => {
      for (let i = 0; i < calls; i++) await work()
    }],
    effects("bare effect, of a promise", () => async),
    effects("bare effect, synchronous", () => sync),
    effects("command, of a promise", () => fetch()),
    effects("command, of a callback", () => callback()),
    effects("command, synchronous", () => compute()),
    effects("command, refused: the pool is full", () => refused())
  ]
  return list
})

const cpuNs = async (go: Case[1]): Promise<number> => {
  globalThis.gc?.()
  const from = process.cpuUsage()
  await go(calls)
  const { system, user } = process.cpuUsage(from)
  return (user + system) * 1000 / calls
}

export const run = async ({ rounds = 9 }: { rounds?: number }): Promise<Omit<Report, "bench" | "node">> => {
  const scope = Scope.makeUnsafe()
  const found = (await Effect.runPromise(Scope.provide(cases, scope))).map(([name, go]) => ({
    name,
    go,
    ns: [] as Array<number>
  }))
  for (const { go } of found) await go(calls / 5)
  for (let round = 0; round < rounds; round++) {
    for (const { go, ns } of round % 2 === 0 ? found : found.toReversed()) ns.push(await cpuNs(go))
  }
  const effect = median(found.find(({ name }) => name === "bare effect, of a promise")!.ns)
  const rows = found.map(({ name, ns }): Row => ({
    call: name,
    "CPU ns": rounded(median(ns)),
    "least": rounded(Math.min(...ns)),
    "to a bare effect of a promise": rounded(median(ns) / effect)
  }))
  return { rounds, tables: { "Policies: timeout, pool, fallback, outcomes": rows } }
}
