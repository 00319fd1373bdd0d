import { request } from "node:http"
import { asked, start } from "./children.ts"
import { interleaved } from "./fresh.ts"
import type { Usage } from "./memory.usage.ts"
import type { Walk, Walked } from "./proxy.connections.ts"
import { generator, type Job, load, type Loaded } from "./proxy.load.ts"
import { hasNginx, proxies, startUpstream, type Subject, subjects } from "./proxy.subjects.ts"
import { median, quartiles, type Report, rounded, type Row } from "./report.ts"
import type { Running } from "./running.ts"

interface Part {
  readonly subject: Subject
  readonly load?: Partial<Job>
  /** It answers with a 503, all the time. */
  readonly refuses?: true
}

interface Case {
  readonly title: string
  readonly load: Omit<Job, "port" | "seconds">
  /** The first is what the others are compared with. By default all proxies. */
  readonly of?: ReadonlyArray<Part>
  /** What is counted, where it is not requests: bodies of so many bytes, so that broken ones count for what they were. */
  readonly bodies?: number
  /** The bytes of an answer, at the least: one that is short was no answer of the upstream. */
  readonly least: number
}

const get = { path: "/small", connections: 32 }
const KiB = 1024
const MiB = 1024 * KiB

const cases: Record<string, Case> = {
  get: { title: "GET, 91 bytes, 32 connections", load: get, least: 91 },
  body: {
    title: "GET, 64 KiB, 32 connections",
    load: { path: `/bytes/${64 * KiB}`, connections: 32 },
    least: 64 * KiB
  },
  stream: {
    title: "GET, 10 MiB, 4 connections",
    load: { path: `/bytes/${10 * MiB}`, connections: 4 },
    bodies: 10 * MiB,
    least: 10 * MiB
  },
  post: {
    title: "POST, 16 KiB, 32 connections",
    load: { path: "/small", connections: 32, body: 16 * KiB },
    least: 91
  },
  program: {
    title: "The program with 10,000 routes in its file, against ten",
    load: get,
    least: 91,
    of: [
      { subject: "the program, ten routes", load: { routes: 10 } },
      { subject: "the program, 10,000 routes", load: { routes: 10_000 } }
    ]
  },
  table: {
    title: "10,000 routes in a table, against ten",
    load: get,
    least: 91,
    of: [
      { subject: "ours, a table of ten", load: { routes: 10 } },
      { subject: "ours, a table of 10,000", load: { routes: 10_000 } }
    ]
  },
  routes: {
    title: "10,000 routes in Effect's router, against ten",
    load: get,
    least: 91,
    of: [
      { subject: "ours, ten routes", load: { routes: 10 } },
      { subject: "ours, 10,000 routes", load: { routes: 10_000 } }
    ]
  },
  full: {
    title: "A full pool's 503, against proxying",
    load: get,
    least: 0,
    of: [{ subject: "ours, every policy" }, { subject: "ours, full", refuses: true }]
  }
}

const everyone: ReadonlyArray<Part> = proxies.map((subject) => ({ subject }))

const warmUp = 4
const seconds = 1

interface Found {
  /** µs for each request, or body. */
  readonly cpu: number
  readonly perSecond: number
  readonly p99: number
}

/** Two processes of one setup differ by a third for their lives: each proxy has so many, one after the other. */
const lives = 3

const measure = async (one: Case, rounds: number): Promise<Report["tables"]> => {
  const found = new Map<Subject, Array<Found>>()
  const failed = new Map<Subject, string>()
  for (let life = 0; life < Math.min(lives, rounds); life++) {
    const [results, broken] = await live(one, Math.ceil((rounds - life) / lives))
    for (const [{ name }, of] of results) found.set(name, [...found.get(name) ?? [], ...of])
    for (const { name, note } of broken) failed.set(name, note)
  }
  const whole = Array.from(found).filter(([name]) => !failed.has(name))
  return {
    [one.title]: [
      ...rows(whole, one.bodies),
      ...Array.from(failed, ([proxy, note]): Row => ({ proxy, note }))
    ]
  }
}

interface Able {
  readonly name: Subject
  readonly run: (seconds: number) => Promise<Found>
}

/** Each proxy stays up for all rounds of a life: its code is warm, and what others have made it do is not in the figures. */
const live = async (one: Case, rounds: number) => {
  const { load: usual, of = everyone } = one
  const upstream = await startUpstream()
  const origin = `http://127.0.0.1:${upstream.port}`
  const running: Array<Running> = []
  const failed: Array<{ readonly name: Subject; readonly note: string }> = []
  const able: Array<Able> = []
  try {
    for (const { load: special, refuses = false, subject } of of) {
      try {
        const proxy = await subjects[subject](origin)
        running.push(proxy)
        if (refuses) request({ port: proxy.port, host: "127.0.0.1", path: "/never" }).on("error", () => {}).end()
        const run = (seconds: number) => spent(one, proxy, { ...usual, ...special, port: proxy.port, seconds }, refuses)
        await run(warmUp)
        able.push({ name: subject, run })
      } catch (error) {
        failed.push({ name: subject, note: (error as Error).message })
      }
    }
    return [await interleaved(rounds, able, ({ run }) => run(seconds)), failed] as const
  } finally {
    for (const one of [...running, upstream]) one.stop()
  }
}

const spent = async ({ bodies, least }: Case, proxy: Running, job: Job, refuses: boolean): Promise<Found> => {
  const before = await proxy.usage()
  const loaded = await load(job)
  const after = await proxy.usage()
  check(loaded, refuses, least)
  const count = bodies === undefined ? loaded.requests : loaded.bytes / bodies
  return {
    cpu: (after.cpuSeconds - before.cpuSeconds) * 1e6 / count,
    perSecond: count / loaded.seconds,
    p99: loaded.p99
  }
}

const check = ({ bytes, errors, refused, requests }: Loaded, refuses: boolean, least: number): void => {
  if (errors > 0) throw new Error(`${errors} of ${requests} requests were broken`)
  if (bytes < requests * least) throw new Error(`its answers are ${Math.round(bytes / requests)} bytes`)
  if (refuses ? refused < requests : refused > 0) throw new Error(`${refused} of ${requests} requests were refused`)
}

const ratios = (values: ReadonlyArray<number>, base: ReadonlyArray<number>) =>
  values.map((value, round) => value / base[round]!)

const rows = (
  found: ReadonlyArray<readonly [Subject, ReadonlyArray<Found>]>,
  bodies: number | undefined
): ReadonlyArray<Row> => {
  const cpu = (results: ReadonlyArray<Found>) => results.map((one) => one.cpu)
  const [base, floor] = found[0]!
  return found.map(([name, results]): Row => {
    const ratio = ratios(cpu(results), cpu(floor))
    const [low, high] = quartiles(ratio)
    return {
      "proxy": name,
      [bodies === undefined ? "CPU µs" : "CPU µs a body"]: rounded(median(cpu(results))),
      [`to ${base}`]: rounded(median(ratio)),
      "quartiles": `${rounded(low)}-${rounded(high)}`,
      "a second": rounded(median(results.map((one) => one.perSecond))),
      "p99 ms": rounded(median(results.map((one) => one.p99)))
    }
  })
}

const many = 10_000

/** A process for each round, since memory that was taken once is not given back. */
const held = async (subject: Subject) => {
  const upstream = await startUpstream()
  const client = start("proxy.connections.ts")
  const running: Array<Running> = [upstream]
  try {
    const proxy = await subjects[subject](`http://127.0.0.1:${upstream.port}`)
    running.push(proxy)
    const walk = async (connections: number, requests: number): Promise<Usage> => {
      await asked<Walked>(client, { port: proxy.port, connections, requests, width: 32 } satisfies Walk)
      return proxy.usage()
    }
    const warm = await walk(32, 2 * many)
    const opened = await walk(many, many)
    const after = await walk(many, 2 * many)
    return {
      opening: (opened.cpuSeconds - warm.cpuSeconds) * 1e6 / many,
      cpu: (after.cpuSeconds - opened.cpuSeconds) * 1e6 / (2 * many),
      memory: (after.rssMiB - warm.rssMiB) * 1024 / many,
      rss: after.rssMiB
    }
  } finally {
    client.disconnect()
    for (const one of running) one.stop()
  }
}

const connections = async (rounds: number): Promise<Report["tables"]> => {
  const found = await interleaved(rounds, proxies, held)
  const floor = found[0]![1]
  return {
    "10,000 connections that are kept, 32 requests at once": found.map(([proxy, results]): Row => {
      const of = (read: (one: (typeof results)[number]) => number) => median(results.map(read))
      const ratio = ratios(results.map((one) => one.cpu), floor.map((one) => one.cpu))
      const [low, high] = quartiles(ratio)
      return {
        proxy,
        "CPU µs": rounded(of((one) => one.cpu)),
        "to floor": rounded(median(ratio)),
        "quartiles": `${rounded(low)}-${rounded(high)}`,
        "CPU µs to open": rounded(of((one) => one.opening)),
        "KiB each": rounded(of((one) => one.memory)),
        "RSS MiB": rounded(of((one) => one.rss))
      }
    })
  }
}

export const run = async (
  { only, rounds = 9 }: { rounds?: number; only?: string }
): Promise<Omit<Report, "bench" | "node">> => {
  if (!hasNginx) console.error("without nginx, which is not installed here")
  if (generator === "autocannon") {
    console.error("without wrk, which is not installed here; autocannon takes more of the machine")
  }
  const tables: Record<string, ReadonlyArray<Row>> = {}
  for (const [name, one] of Object.entries(cases)) {
    if (only === undefined || only === name) Object.assign(tables, await measure(one, rounds))
  }
  if (only === undefined || only === "connections") Object.assign(tables, await connections(rounds))
  return { rounds, tables }
}
