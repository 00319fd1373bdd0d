// The program, from a file, as its users start it.
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Usage } from "./memory.usage.ts"
import type { Running } from "./running.ts"

const main = fileURLToPath(new URL("../../packages/gateway/dist/main.js", import.meta.url))

export interface Program extends Running {
  readonly pid: number
}

/** Starts it with a config that listens on any port. */
export const startProgram = (
  config: string,
  args: ReadonlyArray<string> = [],
  flags: ReadonlyArray<string> = []
): Promise<Program> =>
  new Promise((resolve, reject) => {
    const folder = mkdtempSync(join(tmpdir(), "bench-program-"))
    const file = join(folder, "blackgate.yml")
    writeFileSync(file, config)
    const child = spawn(process.execPath, [...process.execArgv, ...flags, main, "-c", file, ...args, "start"], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.once("exit", (code) => {
      rmSync(folder, { recursive: true, force: true })
      reject(new Error(`it ended with ${code}`))
    })
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const [, port] = /listens on http:\S+:(\d+)/.exec(text) ?? []
      const pid = child.pid!
      if (port !== undefined) resolve({ port: Number(port), pid, usage: () => usageOf(pid), stop: () => child.kill() })
    })
  })

/** Of all threads of some processes, in nanoseconds: Linux counts them. */
export const cpuOf = (pids: ReadonlyArray<number>): number =>
  pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0])
    )
  ).reduce((sum, each) => sum + each, 0)

const usageOf = (pid: number): Usage => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const mib = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+) kB`, "m").exec(status)![1]) / 1024
  const highWaterMiB = mib("VmHWM")
  return { maxRssMiB: highWaterMiB, highWaterMiB, rssMiB: mib("VmRSS"), cpuSeconds: cpuOf([pid]) / 1e9 }
}
