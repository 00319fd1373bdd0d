import * as Fs from "node:fs"
import { countOf } from "../flags.ts"

const told = /\0--workers[=\0]([^\0]+)\0/

/** How many workers a process of this program has, as far as the system tells: those that live; or as many as it was told to have. */
export const workersOf = (pid: number): number => {
  try {
    const threads = Fs.readdirSync(`/proc/${pid}/task`)
      .map((id) => Fs.readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8"))
    const named = threads.filter((name) => /^worker \d+\n$/.test(name)).length
    // Node 22 does not name its threads.
    return named > 0 ? named : countOf(told.exec(Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1] ?? "1") ?? 1
  } catch {
    return 1
  }
}
