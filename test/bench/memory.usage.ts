import { readFileSync } from "node:fs"

/** What a process has used, from its start. */
export interface Usage {
  /** The most memory that was resident at once: `ru_maxrss`, and `VmHWM` where there is a /proc. */
  readonly maxRssMiB: number
  readonly highWaterMiB: number
  /** What is resident now. */
  readonly rssMiB: number
  readonly cpuSeconds: number
}

const usage = (): Usage => {
  const { system, user } = process.cpuUsage()
  const maxRssMiB = process.resourceUsage().maxRSS / 1024
  let highWaterMiB = maxRssMiB
  try {
    highWaterMiB = Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024
  } catch { /* no /proc */ }
  const rssMiB = process.memoryUsage.rss() / 1024 / 1024
  return { maxRssMiB, highWaterMiB, rssMiB, cpuSeconds: (user + system) / 1e6 }
}

/** Answers whatever it is asked with what it has used; ends with whoever asks. */
export const reportUsage = (): void => {
  process.on("message", () => process.send!(usage()))
  process.on("disconnect", () => process.exit())
}
