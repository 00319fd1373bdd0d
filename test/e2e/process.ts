import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

export const examples = Path.resolve(import.meta.dirname, "../../examples")

/** How a process has ended: the code that it gave, or the signal that ended it. */
type Ending = number | NodeJS.Signals

/** A program that runs in a process of its own. It is killed with the scope, if it has not ended by then. */
export interface Program {
  readonly pid: number
  /** What it has printed so far, on either stream. */
  readonly output: () => string
  readonly hasEnded: () => boolean
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for its end, and for that of whatever writes to its streams too. */
  readonly ended: Effect.Effect<Ending>
}

// For the end, or a word, of a process. A machine that is busy with other tests takes seconds to start one.
const bound = "30 seconds"

/** Starts a program, with exactly this environment. */
const launch = (
  name: string,
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env: Record<string, string>; readonly stderr?: number }
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { cwd, env, stderr = "pipe" } = options
      const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", stderr] })
      let output = ""
      let over = false
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text
        })
      }
      const close = new Promise<Ending>((resolve) => {
        child.once("close", (code, signal) => {
          over = true
          resolve(signal ?? code ?? -1)
        })
      })
      return {
        pid: child.pid!,
        output: () => output,
        hasEnded: () => over,
        signal: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)),
        ended: within(`the end of ${name}`, () => output, Effect.promise(() => close))
      }
    }),
    (program) => Effect.andThen(program.signal("SIGKILL"), program.ended)
  )

/** Starts an example from some other folder, with exactly this environment. */
export const start = (example: string, env: Record<string, string> = {}): Effect.Effect<Program, never, Scope.Scope> =>
  launch(example, process.execPath, [Path.join(examples, example)], { cwd: Os.tmpdir(), env })

/** The program as it is installed: its Node is its own, whatever the PATH says. */
export const blackgate = Path.resolve(examples, "../node_modules/.bin/blackgate")

/** Starts the program in a folder. A shell that stands before it becomes it. */
export const startBlackgate = (
  cwd: string,
  args: ReadonlyArray<string>,
  env: Record<string, string> = {},
  stderr?: number
): Effect.Effect<Program, never, Scope.Scope> =>
  launch("blackgate", blackgate, args, {
    cwd,
    env: { PATH: "/usr/bin:/bin", ...env },
    ...(stderr === undefined ? {} : { stderr })
  })

/** The same with a shell that stands before it, and becomes it: `exec "$0" start`. */
export const startByShell = (
  cwd: string,
  script: string,
  env: Record<string, string> = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  launch("blackgate", "/bin/bash", ["-c", script, blackgate], { cwd, env: { PATH: "/usr/bin:/bin", ...env } })

/** Waits until a program has printed something, and answers what the pattern found in it. */
export const printed = ({ hasEnded, output }: Program, what: RegExp): Effect.Effect<ReadonlyArray<string>> => {
  const look: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
    const found = what.exec(output())
    if (found !== null) return Effect.succeed(found)
    return hasEnded() ? missing(String(what), output()) : Effect.andThen(Effect.sleep(5), look)
  })
  return within(String(what), output, look)
}

const within = <A>(what: string, output: () => string, effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.timeoutOrElse(effect, { duration: bound, orElse: () => missing(what, output()) })

const missing = (what: string, output: string): Effect.Effect<never> =>
  Effect.die(new Error(`never came: ${what}; there was ${JSON.stringify(output)}`))

/** Whether there is such a process. One that has ended, and that nobody has asked how, is none. */
export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/^State:\s*Z/m.test(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return process.platform !== "linux"
  }
}

/** What `pnpm start` runs, and what it says of itself. */
export interface ProxyServer extends Program {
  readonly origin: string
  readonly upstream: { readonly pid: number; readonly port: string }
}

/** Starts the example gateway, and its upstream, on ports that are free. */
export const startProxyServer: Effect.Effect<ProxyServer, never, Scope.Scope> = Effect.gen(function*() {
  const program = yield* start("proxy-server.ts", { PORT: "0", UPSTREAM_PORT: "0" })
  const [, origin, port, pid] = yield* printed(
    program,
    /listens on (http:\S+\d)\. Its upstream is http:\S+:(\d+), process (\d+)/
  )
  const upstream = { pid: Number(pid), port: port! }
  // It ends with its gateway; should it fail to, it is not left to whoever runs the tests.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      program.signal("SIGKILL"),
      Effect.sync(() => {
        if (isRunning(upstream.pid)) process.kill(upstream.pid, "SIGKILL")
      })
    )
  )
  return { ...program, origin: origin!, upstream }
})
