import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import * as Fs from "node:fs"
import { readRegularFile } from "./readRegularFile.ts"

/** Where the Python program keeps it. */
export const defaultPidfile = "/var/run/blackgate.pid"

/** What is wrong with a pidfile, or with what it is about. */
export class PidfileError extends Data.TaggedError("PidfileError")<{ readonly message: string }> {}

const read = (path: string): number | undefined => {
  try {
    const pid = Number(readRegularFile(path).toString().trim())
    return Number.isInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

/** Whether there is such a process. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    // It is someone else's, but it is there.
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
  try {
    // One that has ended, and that nobody has asked how, is none.
    return !/^State:\s*Z/m.test(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return true
  }
}

// The program as it is installed, as it is packed, and as it stands in the workspace: an argument of Node's.
// oxlint-disable-next-line no-control-regex
const program = /(?:^|[/\u0000])(?:blackgate|blackgate\/dist\/main\.js|gateway\/(?:src\/main\.ts|dist\/main\.js))\u0000/

// After a crash the number may be that of some other program.
const isOurs = (pid: number): boolean => {
  try {
    return program.test(Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"))
  } catch {
    return true
  }
}

/** The process that a pidfile names, if it runs. */
export const running = (path: string): number | undefined => {
  const pid = read(path)
  return pid !== undefined && isAlive(pid) && isOurs(pid) ? pid : undefined
}

/** Refuses if the pidfile's process runs. */
export const vacant = (path: string): Effect.Effect<void, PidfileError> =>
  Effect.suspend(() => {
    const pid = running(path)
    return pid === undefined || pid === process.pid
      ? Effect.void
      : Effect.fail(new PidfileError({ message: `blackgate runs already: process ${pid}, by ${path}` }))
  })

/** Writes this process into a pidfile, in place of one that is gone, and takes it away with the scope. */
export const write = (path: string): Effect.Effect<void, PidfileError, Scope> =>
  Effect.andThen(
    vacant(path),
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          // Whoever opens one waits until somebody reads from it.
          if (Fs.statSync(path, { throwIfNoEntry: false })?.isFIFO() === true) throw new Error("it is a pipe")
          Fs.writeFileSync(path, `${process.pid}\n`)
        },
        catch: (cause) =>
          new PidfileError({
            message: `the pidfile can't be written: ${(cause as Error).message} (--pidfile names another)`
          })
      }),
      () =>
        Effect.sync(() => {
          if (read(path) === process.pid) Fs.rmSync(path, { force: true })
        })
    )
  )
