import type { ChildProcess } from "node:child_process"
import { asked, heard, start } from "./children.ts"
import { interleaved } from "./fresh.ts"
import type { Job, Transfer } from "./memory.client.ts"
import type { Usage } from "./memory.usage.ts"
import { median, type Report, rounded, type Row } from "./report.ts"

const MiB = 1024 * 1024

const proxies = {
  "floor": ["memory.floor.ts"],
  "floor, loaded": ["memory.floor.ts", "loaded"],
  "ours": ["memory.ours.ts"]
} as const

type Subject = keyof typeof proxies

interface Found {
  readonly before: Usage
  readonly after: Usage
  readonly seconds: number
}

/** One transfer, through a proxy that has done nothing else. */
const transfer = async (subject: Subject, kind: Transfer, bytes: number): Promise<Found> => {
  const children: Array<ChildProcess> = []
  const open = async (file: string, args?: ReadonlyArray<string>) => {
    const child = start(file, args)
    children.push(child)
    return { child, port: (await heard<{ port: number }>(child)).port }
  }
  try {
    const upstream = await open("memory.upstream.ts")
    const [file, ...args] = proxies[subject]
    const proxy = await open(file, [`http://127.0.0.1:${upstream.port}`, ...args])
    const client = start("memory.client.ts")
    children.push(client)
    const pass = (bytes: number) =>
      asked<{ status: number; passed: number; seconds: number }>(
        client,
        { transfer: kind, port: proxy.port, bytes } satisfies Job
      )

    await pass(MiB) // code that has never run is loaded
    const before = await asked<Usage>(proxy.child, {})
    const { passed, seconds, status } = await pass(bytes)
    if (status !== 200 || passed !== bytes) throw new Error(`${subject}, ${kind}: ${status}, ${passed} bytes`)
    return { before, after: await asked<Usage>(proxy.child, {}), seconds }
  } finally {
    for (const child of children) if (child.connected) child.disconnect()
  }
}

export const run = async (
  { rounds = 5, mib = 1024 }: { rounds?: number; mib?: number }
): Promise<Omit<Report, "bench" | "node">> => {
  const cases = (["download", "upload", "both"] as const).flatMap((kind) =>
    (["floor", "floor, loaded", "ours"] as const).map((subject) => ({ kind, subject }))
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
