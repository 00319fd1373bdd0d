import { fileURLToPath } from "node:url"
import { fresh, interleaved } from "./fresh.ts"
import type { Measured, Options } from "./pool.once.ts"
import { median, type Report, rounded, type Row } from "./report.ts"

const file = fileURLToPath(new URL("pool.once.ts", import.meta.url))

const subjects = {
  fibers: "fibers alone",
  pool: "Pool.withPermit",
  command: "Command, with a timeout",
  semaphore: "Effect's Semaphore"
}

const calls = 300_000

// Effect's Semaphore copies its line on every release: a longer one would take minutes.
const lines = { fibers: [10, 100_000], pool: [10, 100_000], command: [10, 100_000], semaphore: [10, 2_000, 16_000] }

const costs: ReadonlyArray<Options> = (["fibers", "pool", "command", "semaphore"] as const).flatMap((subject) =>
  (subject === "semaphore" ? ["async"] as const : ["async", "sync"] as const).flatMap((work) =>
    (subject === "semaphore" ? ["drain"] as const : ["drain", "steady"] as const).flatMap((measure) =>
      lines[subject].map((waiters) => ({
        subject,
        waiters,
        work,
        measure,
        calls: subject === "semaphore" ? 32_000 : calls
      }))
    )
  )
)

const weights: ReadonlyArray<Options> = (["fibers", "pool", "command", "semaphore"] as const).map((subject) => ({
  subject,
  waiters: 10_000,
  work: "sync",
  measure: "memory",
  calls: 10_000
}))

export const run = async ({ rounds = 5 }: { rounds?: number }): Promise<Omit<Report, "bench" | "node">> => {
  const found = await interleaved(
    rounds,
    [...costs, ...weights],
    (options) => fresh<Measured>(file, options, ["--expose-gc"])
  )
  const medians = found.map(([options, results]) => ({
    options,
    cpuNs: median(results.map(({ cpuNs }) => cpuNs)),
    wallNs: median(results.map(({ wallNs }) => wallNs)),
    bytes: median(results.map(({ bytes }) => bytes))
  }))

  const cost = medians.filter(({ options }) => options.measure !== "memory").map(({ cpuNs, options, wallNs }): Row => {
    const { measure, subject, waiters, work } = options
    const ten = medians.find(({ options }) =>
      options.subject === subject && options.measure === measure && options.work === work && options.waiters === 10
    )!
    return {
      line: subjects[subject],
      work,
      measure,
      waiters,
      "CPU ns": rounded(cpuNs),
      "wall ns": rounded(wallNs),
      "CPU, to 10 waiters": rounded(cpuNs / ten.cpuNs),
      "wall, to 10 waiters": rounded(wallNs / ten.wallNs)
    }
  })
  const weight = medians.filter(({ options }) => options.measure === "memory").map(({ bytes, options }): Row => ({
    line: subjects[options.subject],
    "bytes": Math.round(bytes)
  }))
  return { rounds, tables: { "Per call: joining the line, a permit, the end": cost, "Heap of a waiting call": weight } }
}
