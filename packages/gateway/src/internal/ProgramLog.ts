import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type { Config } from "../ConfigSchema.ts"
import type { Sentry } from "./Sentry.ts"

type Settings = NonNullable<Config["log"]>

const levels = { debug: "Debug", info: "Info", warning: "Warn", error: "Error", none: "None" } as const

/** The program's own log, on stderr. What it is like can change while it is written. */
export class ProgramLog {
  settings: Settings = {}
  private readonly sentry: Sentry
  private readonly text = Logger.formatLogFmt
  private readonly json = Logger.formatJson

  constructor(sentry: Sentry) {
    this.sentry = sentry
    // Where nobody reads it, or its disk is full, the gateway goes on.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
  }

  /** In place of Effect's own loggers. */
  readonly layer: Layer.Layer<never> = Layer.merge(
    Logger.layer([
      Logger.make((line) => {
        const { format = "text", level = "info" } = this.settings
        if (LogLevel.isGreaterThanOrEqualTo(line.logLevel, "Error") && Cause.hasDies(line.cause)) {
          this.sentry.report(Cause.squash(line.cause))
        }
        const least = levels[level]
        if (least === "None" || LogLevel.isLessThan(line.logLevel, least)) return
        process.stderr.write(`${(format === "json" ? this.json : this.text).log(line)}\n`)
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )
}
