import { Call } from "../../packages/core/src/internal/Call.ts"
const plan: any = { key: "k", gates: [], keeps: false, detach: false, clock: undefined, work: undefined, settle: undefined }
const own: any = { start(c: any) { c.end(ex) }, stop() {} }
const ex: any = { _tag: "Success", value: 1 }
const args: any = []
const ctx: any = {}
const g = { enter(c: any) { return g }, leave() {} }
const plan4: any = { ...plan, gates: [g, g, g, g] }
for (let r = 0; r < 4; r++) for (const p of [plan, plan4]) {
  const n = 3e6
  const t = process.hrtime.bigint()
  for (let i = 0; i < n; i++) new Call(p, own, args, ctx, undefined, () => {}, undefined, undefined).advance()
  console.log(p.gates.length, Number(process.hrtime.bigint() - t) / n, "ns")
}
