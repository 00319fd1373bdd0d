import { Effect, type Scope } from "effect"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { eventually } from "../harness/eventually.ts"
import { type Client, client } from "./clients.ts"
import { gateway, type Running } from "./gatewayFolder.ts"

/** What an access log in JSON says of a request. */
interface Line {
  readonly target: string
  readonly worker?: number
  readonly status: number
}

/** Those of a log that are whole; anything else that is there is a failure. */
export const accessLines = (output: string): ReadonlyArray<Line> =>
  output.split("\n").slice(0, -1).filter((line) => line.startsWith("{\"time\"")).map((line) => JSON.parse(line))

// Node takes it for a module to import first. Where there is little memory it does not take long to fill it.
const options = `--max-old-space-size=150 --import ${
  pathToFileURL(Path.join(import.meta.dirname, "fault.preload.mjs"))
}`

/** Two workers, of a file or of a module, that can be told to die by `fault.preload.mjs`, with an access log that says who has answered. */
export const twoWorkers = (
  config: string,
  args: ReadonlyArray<string> = [],
  module: { readonly name?: string; readonly others?: Record<string, string> } = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  gateway(module.name === undefined ? `log: { access: { format: json } }\n${config}` : config, {
    ...module,
    args: ["--workers", "2", ...args],
    env: { NODE_OPTIONS: options }
  })

// Each question has a line of its own in the log.
let asked = 0

/** Clients of each worker, so many, who keep their connections to it. */
export const clientsOfEach = (
  { origin, output }: Running,
  count: number
): Effect.Effect<readonly [ReadonlyArray<Client>, ReadonlyArray<Client>], never, Scope.Scope> =>
  Effect.gen(function*() {
    const workers: [Array<Client>, Array<Client>] = [[], []]
    while (workers.some((clients) => clients.length < count)) {
      const one = yield* client(origin)
      const target = `/whose/${asked++}`
      yield* one.get(target)
      const { worker } = yield* eventually(
        `the line of ${target}`,
        () => accessLines(output()).find((line) => line.target === target),
        output
      )
      if (workers[worker! - 1]!.length < count) workers[worker! - 1]!.push(one)
    }
    return workers
  })
