// `pnpm bench` lists the benchmarks; `pnpm bench NAME [--rounds N] [--json FILE]` runs one.
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as commands from "./commands.ts"
import * as memory from "./memory.ts"
import * as pool from "./pool.ts"
import { print, type Report } from "./report.ts"

interface Bench {
  readonly about: string
  run(options: { rounds?: number; mib?: number }): Promise<Omit<Report, "bench" | "node">>
}

const benches: Record<string, Bench> = { commands, memory, pool }

const { positionals: [name], values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" }, mib: { type: "string" }, rounds: { type: "string" } }
})

const whole = (option: "mib" | "rounds"): { [option in "mib" | "rounds"]?: number } => {
  const value = values[option]
  if (value === undefined) return {}
  if (!/^[1-9]\d*$/.test(value)) throw new Error(`--${option} takes a whole number of at least 1, not ${value}`)
  return { [option]: Number(value) }
}

if (name === undefined) {
  for (const [name, { about }] of Object.entries(benches)) console.log(`pnpm bench ${name.padEnd(10)}${about}`)
} else if (!Object.hasOwn(benches, name)) {
  console.error(`there is no benchmark ${name}; there are: ${Object.keys(benches).join(", ")}`)
  process.exitCode = 1
} else {
  const report: Report = {
    bench: name,
    node: process.version,
    ...await benches[name]!.run({ ...whole("rounds"), ...whole("mib") })
  }
  print(report)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
}
