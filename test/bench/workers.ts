import { heard, start } from "./children.ts"
import { interleaved } from "./fresh.ts"
import { cpuOf, startProgram } from "./program.ts"
import { type Job, load } from "./proxy.load.ts"
import { startUpstream } from "./proxy.subjects.ts"
import { median, quartiles, type Report, rounded, type Row } from "./report.ts"
import type { Running } from "./running.ts"
import type { Floor } from "./workers.floor.ts"

interface Subject {
  readonly name: string
  readonly start: (upstream: string) => Promise<Omit<Running, "usage"> & { readonly pids: ReadonlyArray<number> }>
}

const config = (upstream: string, more: string): string =>
  `${more}
listen: { host: 127.0.0.1, port: 0 }
limits: { max_requests_per_connection: 100000000 }
groups: { api: { pool: { max_concurrent: 1024 }, circuit: {} } }
routes: [{ name: api, upstream: "${upstream}", group: api, timeout: 30s }]
`

const program = (workers: number, more = "", ...flags: ReadonlyArray<string>): Subject => ({
  name: `blackgate --workers ${workers}`,
  start: async (upstream) => {
    const started = await startProgram(config(upstream, more), ["--workers", String(workers)], flags)
    return { ...started, pids: [started.pid] }
  }
})

const floorOf = (how: Floor): Subject => ({
  name: `floor, ${how}`,
  start: async (upstream) => {
    const child = start("workers.floor.ts", [upstream, how])
    const { pids, port } = await heard<{ port: number; pids: ReadonlyArray<number> }>(child)
    return { port, pids, stop: () => child.disconnect() }
  }
})

interface Case {
  readonly title: string
  readonly load: Omit<Job, "port" | "seconds">
  /** The first is what the others are compared with. */
  readonly of: ReadonlyArray<Subject>
}

const get = { path: "/small", connections: 64 }
const accessLog = "log: { access: { format: json } }"
const burn = ["--import", new URL("workers.burn.mjs", import.meta.url).href]

const cases: Record<string, Case> = {
  floor: {
    title: "what there is to be had: the floor, GET of 91 bytes, 64 connections",
    load: get,
    of: [floorOf("one process"), floorOf("two processes"), floorOf("two threads")]
  },
  cost: { title: "the program, GET of 91 bytes, 64 connections", load: get, of: [program(1), program(2)] },
  log: {
    title: "the same, with an access log in JSON",
    load: get,
    of: [program(1, accessLog), program(2, accessLog)]
  },
  // So few that who makes the load needs little of the machine.
  burn: {
    title: "the program, with 1 ms of CPU a request, 16 connections",
    load: { path: "/small", connections: 16 },
    of: [program(1, "", ...burn), program(2, "", ...burn)]
  }
}

const warmUp = 4
const seconds = 2

const measure = async ({ load: usual, of, title }: Case, rounds: number): Promise<Report["tables"]> => {
  const upstream = await startUpstream()
  const running: Array<{ stop(): void }> = [upstream]
  try {
    const able = []
    for (const { name, start } of of) {
      const one = await start(`http://127.0.0.1:${upstream.port}`)
      running.push(one)
      const run = async (seconds: number) => {
        const before = cpuOf(one.pids)
        const loaded = await load({ ...usual, port: one.port, seconds })
        const cpu = (cpuOf(one.pids) - before) / 1000 / loaded.requests
        if (loaded.errors + loaded.refused > 0) throw new Error(`${name}: ${loaded.errors + loaded.refused} failed`)
        return { cpu, perSecond: loaded.requests / loaded.seconds, p99: loaded.p99 }
      }
      await run(warmUp)
      able.push({ name, run })
    }
    const found = await interleaved(rounds, able, ({ run }) => run(seconds))
    const base = found[0]![1]
    return {
      [title]: found.map(([{ name }, results]): Row => {
        const to = (of: (one: (typeof results)[number]) => number) => results.map((one, i) => of(one) / of(base[i]!))
        const [cpu, speed] = [to((one) => one.cpu), to((one) => one.perSecond)]
        return {
          "": name,
          "CPU µs": rounded(median(results.map((one) => one.cpu))),
          "x": rounded(median(cpu)),
          "quartiles": quartiles(cpu).map(rounded).join("-"),
          "a second": rounded(median(results.map((one) => one.perSecond))),
          "x ": rounded(median(speed)),
          "quartiles ": quartiles(speed).map(rounded).join("-"),
          "p99 ms": rounded(median(results.map((one) => one.p99)))
        }
      })
    }
  } finally {
    for (const one of running) one.stop()
  }
}

export const run = async (
  { only, rounds = 9 }: { rounds?: number; only?: string }
): Promise<Omit<Report, "bench" | "node">> => {
  const tables: Record<string, ReadonlyArray<Row>> = {}
  for (const [name, one] of Object.entries(cases)) {
    if (only === undefined || only === name) Object.assign(tables, await measure(one, rounds))
  }
  return { rounds, tables }
}
