import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

/** A daemon that did not come to listen. */
export class DaemonError extends Data.TaggedError("DaemonError")<{ readonly message: string; readonly code: number }> {}

/** What a daemon says to whoever has started it. */
type Word = { readonly listens: string } | { readonly failed: string; readonly code: number }

const mark = "BLACKGATE_DAEMON"

/** Says a word to whoever waits for it, if this process is a daemon; there is nothing more to say then. */
export const say = (word: Word): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (process.env[mark] === undefined || process.send === undefined || !process.connected) return resume(Effect.void)
    process.send(word, () => {
      process.disconnect?.()
      resume(Effect.void)
    })
  })

export interface DaemonOptions {
  readonly config: string
  readonly pidfile: string
  readonly stdout: string
  readonly stderr: string
  readonly more: ReadonlyArray<string>
}

/** Starts the program once more, on its own, and waits until it listens. */
export const startDaemon = (
  { config, more, pidfile, stderr, stdout }: DaemonOptions
): Effect.Effect<void, DaemonError> =>
  Effect.flatMap(
    Effect.callback<Word, DaemonError>((resume) => {
      const fail = (message: string, code = 1) => resume(Effect.fail(new DaemonError({ message, code })))
      const main = fileURLToPath(
        new URL(import.meta.url.endsWith(".ts") ? "../main.ts" : "../main.js", import.meta.url)
      )
      const flags = ["-c", Path.resolve(config), "--no-daemon", "--pidfile", Path.resolve(pidfile), ...more]
      try {
        const files = [stdout, stderr].map((file) => Fs.openSync(file, "a"))
        const child = spawn(process.execPath, [...process.execArgv, main, ...flags, "start"], {
          detached: true,
          stdio: ["ignore", files[0]!, files[1]!, "ipc"],
          env: { ...process.env, [mark]: "1" }
        })
        for (const file of files) Fs.closeSync(file)
        child.once("error", (cause) => fail(cause.message))
        child.once("exit", (code, signal) => fail(`it ended with ${signal ?? code} before it listened`))
        child.once("message", (word: Word) => {
          child.removeAllListeners()
          child.unref()
          if (child.connected) child.disconnect()
          resume(Effect.succeed(word))
        })
      } catch (cause) {
        fail((cause as Error).message)
      }
    }),
    (word) =>
      "failed" in word
        ? Effect.fail(new DaemonError({ message: word.failed, code: word.code }))
        : Console.log(`Blackgate listens on ${word.listens}`)
  )
