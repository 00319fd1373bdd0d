// `pnpm bench` lists the benchmarks; `pnpm bench NAME [--rounds N] [--json FILE]` runs one.
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { print, type Report } from "./report.ts"

interface Bench {
  readonly about: string
  /** Whether peers are measured too: they are dependencies of this folder alone. */
  readonly peers?: true
  load(): Promise<
    { run(options: { rounds?: number; mib?: number; only?: string }): Promise<Omit<Report, "bench" | "node">> }
  >
}

const benches: Record<string, Bench> = {
  commands: {
    about: "what policies cost a call, beside opossum, cockatiel and Effect's own combinators",
    peers: true,
    load: () => import("./commands.ts")
  },
  memory: {
    about: "a large body through a proxy: its peak memory and its CPU, against bare node:http and undici",
    load: () => import("./memory.ts")
  },
  proxy: {
    about: "what a request costs through a proxy, beside nginx and the proxies of Node",
    peers: true,
    load: () => import("./proxy.ts")
  },
  workers: {
    about: "what two workers of the program cost and do, beside one; and the floor as two threads, or two processes",
    load: () => import("./workers.ts")
  },
  pool: {
    about: "what a permit costs with 10 and with 100,000 calls in the line, and what a waiting call weighs",
    load: () => import("./pool.ts")
  }
}

const installPeers = () => {
  const { status } = spawnSync("pnpm", ["install", "--frozen-lockfile", "--loglevel=error"], {
    cwd: import.meta.dirname,
    shell: process.platform === "win32",
    stdio: ["ignore", 2, 2]
  })
  if (status !== 0) throw new Error("the peers could not be installed")
}

const { positionals: [name], values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" }, mib: { type: "string" }, only: { type: "string" }, rounds: { type: "string" } }
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
  const { load, peers } = benches[name]!
  if (peers) installPeers()
  const { run } = await load()
  const only = values.only === undefined ? {} : { only: values.only }
  const report: Report = {
    bench: name,
    node: process.version,
    ...await run({ ...whole("rounds"), ...whole("mib"), ...only })
  }
  print(report)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
}
