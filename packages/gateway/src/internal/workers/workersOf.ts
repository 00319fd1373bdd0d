import * as Fs from "node:fs"

/** How many workers a process of this program has, as far as the system tells: those that live; or as many as it was told to have. */
export const workersOf = (pid: number): number => {
  try {
    const threads = Fs.readdirSync(`/proc/${pid}/task`).map((id) =>
      Fs.readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8")
    )
    const named = threads.filter((name) => /^worker \d+\n$/.test(name)).length
    if (named > 0) return named
    // Node 22 does not name its threads.
    const words = Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
    const [, given = words[words.indexOf("--workers") + 1]] = /\0--workers=(\d+)\0/.exec(words.join("\0")) ?? []
    return words.some((word) => word.startsWith("--workers")) ? Number(given) || 1 : 1
  } catch {
    return 1
  }
}
