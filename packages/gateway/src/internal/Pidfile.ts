import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import * as Fs from "node:fs"

/** Where the Python program keeps it. */
export const defaultPidfile = "/var/run/blackgate.pid"

/** What is wrong with a pidfile, or with what it is about. */
export class PidfileError extends Data.TaggedError("PidfileError")<{ readonly message: string }> {}

// More than the number of any process takes.
const mostBytes = 64
const mostReplaced = 16

/** The beginning of a file; of what is none, such as a pipe or a device, nothing. */
const beginningOf = (path: string): string | undefined => {
  let fd: number | undefined
  try {
    // Nobody waits for who writes into a pipe.
    fd = Fs.openSync(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
    if (!Fs.fstatSync(fd).isFile()) return undefined
    const bytes = Buffer.alloc(mostBytes + 1)
    return bytes.toString("latin1", 0, Fs.readSync(fd, bytes))
  } catch {
    return undefined
  } finally {
    if (fd !== undefined) Fs.closeSync(fd)
  }
}

/** The process that a pidfile names, whether it runs or not. */
export const pidIn = (path: string): number | undefined => {
  const pid = /^\s*(\d{1,10})\s*$/.exec(beginningOf(path) ?? "")?.[1]
  return pid === undefined || Number(pid) === 0 ? undefined : Number(pid)
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
  const pid = pidIn(path)
  return pid !== undefined && isAlive(pid) && isOurs(pid) ? pid : undefined
}

const runsAlready = (pid: number, path: string): string => `blackgate runs already: process ${pid}, by ${path}`

/** Refuses if the pidfile's process runs. */
export const vacant = (path: string): Effect.Effect<void, PidfileError> =>
  Effect.suspend(() => {
    const pid = running(path)
    return pid === undefined || pid === process.pid
      ? Effect.void
      : Effect.fail(new PidfileError({ message: runsAlready(pid, path) }))
  })

// Whatever it holds, that is no longer than a number: after a crash of the machine zeros, say.
const isReplaceable = (path: string): boolean => {
  if (Fs.lstatSync(path).isSymbolicLink()) return true
  const beginning = beginningOf(path)
  if (beginning === undefined || beginning.length > mostReplaced) return false
  // Whose it is is asked, not who may write into the folder.
  Fs.accessSync(path, Fs.constants.W_OK)
  return true
}

const codeOf = (cause: unknown): string | undefined => (cause as NodeJS.ErrnoException).code

const writeNew = (path: string): void => Fs.writeFileSync(path, `${process.pid}\n`, { flag: "wx", mode: 0o644 })

// Not all file systems have links.
const link = (from: string, to: string): void => {
  try {
    Fs.linkSync(from, to)
  } catch (cause) {
    if (!["ENOSYS", "ENOTSUP", "EPERM"].includes(codeOf(cause) ?? "")) throw cause
    writeNew(to)
  }
}

// It is there whole, or not at all: of several that start at once one has it. No link is followed, wherever it may lead.
const create = (path: string): boolean => {
  const beside = `${path}.${process.pid}`
  Fs.rmSync(beside, { force: true })
  try {
    writeNew(beside)
    link(beside, path)
    return true
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return false
    throw cause
  } finally {
    Fs.rmSync(beside, { force: true })
  }
}

// Another one may have taken the place of what was to be removed: then it gets it back.
const remove = (path: string): void => {
  const aside = `${path}.${process.pid}`
  Fs.renameSync(path, aside)
  try {
    const pid = running(aside)
    if (pid !== undefined && pid !== process.pid) Fs.linkSync(aside, path)
  } finally {
    Fs.rmSync(aside, { force: true })
  }
}

const take = (path: string): void => {
  for (let tries = 0; !create(path); tries++) {
    const pid = running(path)
    if (pid !== undefined && pid !== process.pid) throw new Error(runsAlready(pid, path))
    if (tries > 2 || !isReplaceable(path)) throw new Error(`${path} is there, and is no pidfile`)
    remove(path)
  }
}

/** Writes this process into a pidfile, in place of one that is gone, and takes it away with the scope. */
export const write = (path: string): Effect.Effect<void, PidfileError, Scope> =>
  Effect.andThen(
    vacant(path),
    Effect.acquireRelease(
      Effect.try({
        try: () => take(path),
        catch: (cause) =>
          new PidfileError({
            message: `the pidfile can't be written: ${(cause as Error).message} (--pidfile names another)`
          })
      }),
      () =>
        Effect.sync(() => {
          if (pidIn(path) === process.pid) Fs.rmSync(path, { force: true })
        })
    )
  )
