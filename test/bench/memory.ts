import { asked, start } from "./children.ts"
import { interleaved } from "./fresh.ts"
import type { Job, Transfer } from "./memory.client.ts"
import type { Usage } from "./memory.usage.ts"
import { startProgram } from "./program.ts"
import { median, type Report, rounded, type Row } from "./report.ts"
import { listening, type Running } from "./running.ts"

const MiB = 1024 * 1024

const node = (file: string, ...args: ReadonlyArray<string>) => (upstream: string): Promise<Running> =>
  listening(start(file, [upstream, ...args]))

const proxies = {
  "floor": node("memory.floor.ts"),
  "floor, all loaded": node("memory.floor.ts", "loaded"),
  "ours": node("memory.ours.ts"),
  "ours, all loaded": node("memory.ours.ts", "loaded"),
  "the program": (upstream) =>
    startProgram(`
listen: { host: 127.0.0.1, port: 0 }
groups: { api: { pool: { max_concurrent: 10 } } }
routes: [{ upstream: "${upstream}", group: api }]
`)
} satisfies Record<string, (upstream: string) => Promise<Running>>

type Subject = keyof typeof proxies

interface Found {
  readonly before: Usage
  readonly after: Usage
  readonly seconds: number
}

/** One transfer, through a proxy that has done nothing else. */
const transfer = async (subject: Subject, kind: Transfer, bytes: number): Promise<Found> => {
  const running: Array<Running> = []
  const started = async (one: Promise<Running>): Promise<Running> => {
    running.push(await one)
    return running.at(-1)!
  }
  const client = start("memory.client.ts")
  try {
    const upstream = await started(listening(start("memory.upstream.ts")))
    const proxy = await started(proxies[subject](`http://127.0.0.1:${upstream.port}`))
    const pass = (bytes: number) =>
      asked<{ status: number; passed: number; seconds: number }>(
        client,
        { transfer: kind, port: proxy.port, bytes } satisfies Job
      )

    await pass(MiB) // code that has never run is loaded
    const before = await proxy.usage()
    const { passed, seconds, status } = await pass(bytes)
    if (status !== 200 || passed !== bytes) throw new Error(`${subject}, ${kind}: ${status}, ${passed} bytes`)
    return { before, after: await proxy.usage(), seconds }
  } finally {
    client.disconnect()
    for (const one of running) one.stop()
  }
}

export const run = async (
  { rounds = 5, mib = 1024 }: { rounds?: number; mib?: number }
): Promise<Omit<Report, "bench" | "node">> => {
  const cases = (["download", "upload", "both"] as const).flatMap((kind) =>
    (Object.keys(proxies) as ReadonlyArray<Subject>).map((subject) => ({ kind, subject }))
  )
  const found = await interleaved(rounds, cases, ({ kind, subject }) => transfer(subject, kind, mib * MiB))

  const rows = found.map(([{ kind, subject }, results]): Row => {
    const floor = found.find(([one]) => one.kind === kind && one.subject === "floor")![1]
    const of = (read: (one: Found) => number) => median(results.map(read))
    const peak = (one: Found) => one.after.maxRssMiB
    const grown = (one: Found) => one.after.maxRssMiB - one.before.rssMiB
    const cpu = (one: Found) => one.after.cpuSeconds - one.before.cpuSeconds
    return {
      "transfer": kind,
      "proxy": subject,
      "peak": rounded(of(peak)),
      "least": rounded(Math.min(...results.map(peak))),
      "most": rounded(Math.max(...results.map(peak))),
      "VmHWM": rounded(of((one) => one.after.highWaterMiB)),
      "to floor": rounded(of(peak) - median(floor.map(peak))),
      "idle": rounded(of((one) => one.before.rssMiB)),
      "grown": rounded(of(grown)),
      "grown, to floor": rounded(of(grown) - median(floor.map(grown))),
      "CPU s": rounded(of(cpu)),
      "CPU ratio": rounded(of(cpu) / median(floor.map(cpu))),
      "wall s": rounded(of((one) => one.seconds))
    }
  })
  return { rounds, tables: { [`A body of ${mib} MiB; memory in MiB`]: rows } }
}
