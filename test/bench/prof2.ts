import { Effect } from "effect"
const work = async () => 1
const n = 500000
const eff = Effect.promise(work)
const cb = () => Effect.callback<number>((resume) => { work().then((v) => resume(Effect.succeed(v))) })
const cbf = () => Effect.callback<number>((resume) => { work().then((v) => resume(Effect.succeed(v))); return Effect.void })
for (const [name, f] of [["bare", () => eff], ["callback", cb], ["callback+finalizer", cbf]] as const) for (let r = 0; r < 4; r++) {
  const t = process.cpuUsage(); let left = n
  await Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: f as any, step: () => {} }) as any)
  const c = process.cpuUsage(t); console.log(name, ((c.user + c.system) * 1000 / n).toFixed(0))
}
for (let r = 0; r < 4; r++) {
  const t = process.cpuUsage()
  for (let i=0;i<n;i++) await new Promise((resolve, reject) => { work().then(resolve, reject) })
  const c = process.cpuUsage(t); console.log("new Promise", ((c.user + c.system) * 1000 / n).toFixed(0))
}
