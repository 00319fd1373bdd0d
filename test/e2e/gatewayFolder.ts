import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { printed, type Program, startBlackgate } from "./process.ts"

/** A folder of its own, gone with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "blackgate-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/** An upstream that says its name and the target; it holds what asks for `/held` until it is told to let go. */
export interface Upstream {
  readonly url: string
  readonly held: () => number
  readonly release: () => void
}

export const upstream = (name: string): Effect.Effect<Upstream, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Http.Server; readonly upstream: Upstream }>((resume) => {
      const held: Array<() => void> = []
      const server = Http.createServer((request, response) => {
        const answer = () => response.end(`${name} ${request.url}`)
        if (request.url!.includes("/held")) held.push(answer)
        else answer()
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          server,
          upstream: {
            url: `http://127.0.0.1:${port}`,
            held: () => held.length,
            release: () => {
              for (const answer of held.splice(0)) answer()
            }
          }
        }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.map(({ upstream }) => upstream))

export interface Running extends Program {
  readonly origin: string
  /** Where its operators are listened to, if they are. */
  readonly admin: string
  readonly file: string
  /** Puts another text into the file, and waits until the gateway has said what it makes of it. */
  readonly reload: (text: string, says: RegExp) => Effect.Effect<void>
}

const count = (text: string, pattern: RegExp): number => text.split(pattern).length - 1

/** Starts a gateway of a config, which listens on any port unless the config says otherwise. */
export const gateway = (
  text: string,
  options: {
    readonly args?: ReadonlyArray<string>
    readonly env?: Record<string, string>
    readonly stderr?: number
    /** What the config is called: `blackgate.yml` unless it is said. */
    readonly name?: string
    /** What else is in its folder. */
    readonly others?: Record<string, string>
  } = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { args = [], env, name = "blackgate.yml", others = {}, stderr } = options
    const file = Path.join(yield* folder, name)
    Fs.writeFileSync(file, text)
    for (const [name, text] of Object.entries(others)) Fs.writeFileSync(Path.join(Path.dirname(file), name), text)
    const program = yield* startBlackgate(Path.dirname(file), ["--no-daemon", "start", ...args], env, stderr)
    const [, port, admin = ""] = yield* printed(
      program,
      /^Blackgate listens on https?:\/\/\S+:(\d+)(?:.*, for operators on (\S+))?$/m
    )
    return {
      ...program,
      file,
      admin,
      origin: `http://127.0.0.1:${port}`,
      reload: (text, says) =>
        Effect.gen(function*() {
          const before = count(program.output(), says)
          Fs.writeFileSync(file, text)
          yield* program.signal("SIGHUP")
          yield* eventually(String(says), () => count(program.output(), says) > before, program.output)
        })
    }
  })
