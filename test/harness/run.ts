import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"

/**
 * Runs a program to its end and answers how it ended and what it said. The environment is exactly what is given, so
 * that a test depends on nothing of the shell it was started from.
 */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env?: Record<string, string> }
) =>
  Effect.gen(function*() {
    const handle = yield* ChildProcess.make(command, args, { extendEnv: false, stdin: "ignore", ...options })
    return yield* Effect.all({
      stdout: Stream.mkString(Stream.decodeText(handle.stdout)),
      stderr: Stream.mkString(Stream.decodeText(handle.stderr)),
      exitCode: handle.exitCode
    }, { concurrency: "unbounded" })
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
