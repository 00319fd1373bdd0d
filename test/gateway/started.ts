import { Effect, type Scope } from "effect"
import type { CannotListen } from "../../packages/gateway/src/CannotListen.ts"
import { fromData, parse } from "../../packages/gateway/src/Config.ts"
import type { ConfigError } from "../../packages/gateway/src/ConfigError.ts"
import { defineConfig, type Definition } from "../../packages/gateway/src/ConfigModule.ts"
import * as Gateway from "../../packages/gateway/src/Gateway.ts"
import { explain } from "../../packages/gateway/src/internal/explain.ts"
import { type Plan, planOf } from "../../packages/gateway/src/internal/Plan.ts"

type Files = { readonly [path: string]: string | Uint8Array }

/** The plan of a file, beside which are these. */
export const planned = (text: string, files: Files = {}) => {
  const readFile = (path: string, encoding: "utf8" | "latin1" = "utf8"): string => {
    const found = files[path]
    if (found === undefined) throw new Error("ENOENT: no such file or directory")
    return Buffer.from(found as Uint8Array).toString(encoding)
  }
  return Effect.flatMap(
    parse(text, { file: "blackgate.yml", env: {}, readFile }),
    (loaded) => planOf(loaded, readFile)
  )
}

/** What `routes --explain GET /` says of it. */
export const explained = (text: string, files: Files = {}): Effect.Effect<string, ConfigError> =>
  Effect.map(planned(text, files), (plan) => explain(plan, "GET", "http://gateway.test/").text)

/** The first thing that is wrong with a file, as `check` says it, without its lines. */
export const refused = (text: string, files: Files = {}): Effect.Effect<string | undefined, unknown> =>
  Effect.map(
    Effect.flip(Effect.flatMap(planned(text, files), Gateway.check)),
    ({ message }) => message.split("\n", 1)[0]
  )

interface Started {
  readonly origin: string
  readonly origins: ReadonlyArray<string>
  readonly reload: (next: string) => Gateway.Gateway["reload"]
}

const start = (
  first: Effect.Effect<Plan, ConfigError>,
  load: (next: string) => Effect.Effect<Plan, ConfigError>
): Effect.Effect<Started, ConfigError | CannotListen, Scope.Scope> =>
  Effect.gen(function*() {
    let current = first
    const gateway = yield* Gateway.make({
      first: yield* first,
      load: Effect.suspend(() => current),
      took: () => Effect.void
    })
    const where = yield* gateway.where
    const origins = Array.from(where.matchAll(/https?:\/\/\S+:(\d+)/g), ([, port]) => `http://127.0.0.1:${port}`)
    return {
      origin: origins[0]!,
      origins,
      reload: (next: string) =>
        Effect.suspend(() => {
          current = load(next)
          return gateway.reload
        })
    }
  })

/** A gateway of a file that listens, until the end of the scope. It can have another file. */
export const started = (
  text: string,
  files: Files = {}
): Effect.Effect<Started, ConfigError | CannotListen, Scope.Scope> =>
  start(planned(text, files), (next) => planned(next, files))

/** The same of a config module. */
export const startedInCode = ({ config, middleware, routes }: Definition) =>
  start(
    Effect.flatMap(
      fromData(config, "blackgate.config.ts"),
      (loaded) => planOf({ ...loaded, code: defineConfig<string>({ middleware, routes }) }, () => "")
    ),
    planned
  )
