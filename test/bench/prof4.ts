import { Command, Group } from "@blackgate/core"
import { Effect, Scope } from "effect"
const n = 300_000
const scope = Scope.makeUnsafe()
const mk = (name: string, o: any) => Effect.runPromise(Group.make(name, o).pipe(Scope.provide(scope)))
const pool = { maxConcurrent: 10, maxQueued: 10 }
const g1 = await mk("a", { pool, circuit: { failureRate: 0.5 } })
const g2 = await mk("b", { pool })
const g3 = await mk("c", { pool: { ...pool, reentrant: true } })
const work = async () => 1
const cases: any = process.argv[2] === "x" ? { reentrant: Command.promise("reent", work, { group: g3 }) } : {
  four: Command.promise("four", work, { group: g1, timeout: "1 second", fallback: () => Effect.succeed(null) }),
  noFallback: Command.promise("nofb", work, { group: g1, timeout: "1 second" }),
  noCircuit: Command.promise("nocircuit", work, { group: g2, timeout: "1 second", fallback: () => Effect.succeed(null) }),
  noTimeout: Command.promise("notimeout", work, { group: g1, fallback: () => Effect.succeed(null) }),
  poolOnly: Command.promise("poolonly", work, { group: g2 }),
  reentrant: Command.promise("reent", work, { group: g3 }),
}
for (let r = 0; r < 5; r++) for (const k of Object.keys(cases)) {
  const f = await Effect.runPromise(Command.promisify(cases[k])) as any
  globalThis.gc?.()
  let t = process.cpuUsage()
  
  let c = process.cpuUsage(t)
  const p = (c.user + c.system) * 1000 / n
  t = process.cpuUsage()
  let left = n
  await Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: () => cases[k](), step: () => {} }) as any)
  c = process.cpuUsage(t)
  if (r > 1) console.log(k.padEnd(12), "promise caller", p.toFixed(0), "effect caller", ((c.user + c.system) * 1000 / n).toFixed(0))
}
process.exit()
