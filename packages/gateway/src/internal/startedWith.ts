import * as Fs from "node:fs"

/** Where a process of this program was started, and which config file it was told; `undefined` where the system does not say. */
export const startedWith = (pid: number): { readonly cwd: string; readonly config: string | undefined } | undefined => {
  try {
    const cwd = Fs.readlinkSync(`/proc/${pid}/cwd`)
    return { cwd, config: configIn(Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")) }
  } catch {
    return undefined
  }
}

/** As the command line reads it: the value is the next argument, or stands behind `=`. */
export const configIn = (args: ReadonlyArray<string>): string | undefined => {
  for (const [i, arg] of args.entries()) {
    if (arg === "-c" || arg === "--config") return args[i + 1]
    const [, value] = /^(?:-c|--config)=(.*)$/s.exec(arg) ?? []
    if (value !== undefined) return value
  }
  return undefined
}
