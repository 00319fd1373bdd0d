import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type { Config } from "../ConfigSchema.ts"
import { stderr } from "./Lines.ts"
import { printable, printableJson } from "./printable.ts"
import type { Sentry } from "./Sentry.ts"

type Settings = NonNullable<Config["log"]>

export type LogFormat = NonNullable<Settings["format"]>

const levels = { debug: "Debug", info: "Info", warning: "Warn", error: "Error", none: "None" } as const

// For people: what has lines of its own, such as the errors of a config file, keeps them.
const text = Logger.make(({ cause, date, fiber, logLevel, message }) => {
  const { worker } = fiber.getRef(References.CurrentLogAnnotations)
  const who = worker === undefined ? "" : `worker ${String(worker)}: `
  const said = Array.isArray(message) ? message.map(String).join(" ") : String(message)
  const why = cause.reasons.length === 0 ? "" : `\n${Cause.pretty(cause)}`
  return printable(`${date.toISOString()} ${logLevel.toUpperCase()} ${who}${said}${why}`)
})

/** The program's own log, on stderr. What it is like can change while it is written. */
export class ProgramLog {
  settings: Settings = {}
  /** Who gets its lines, too. */
  also: Logger.Logger<unknown, void> | undefined = undefined
  private readonly sentry: Sentry

  private readonly format: LogFormat | undefined

  /** `format` goes before that of the settings. */
  constructor(sentry: Sentry, format: LogFormat | undefined) {
    this.sentry = sentry
    this.format = format
    // Where nobody reads it, or its disk is full, the gateway goes on.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
  }

  /** In place of Effect's own loggers. */
  readonly layer: Layer.Layer<never> = Layer.merge(
    Logger.layer([
      Logger.make((line) => {
        const { level = "info" } = this.settings
        const format = this.format ?? this.settings.format ?? "text"
        if (LogLevel.isGreaterThanOrEqualTo(line.logLevel, "Error") && Cause.hasDies(line.cause)) {
          this.sentry.report(Cause.squash(line.cause))
        }
        const least = levels[level]
        if (least === "None" || LogLevel.isLessThan(line.logLevel, least)) return
        this.also?.log(line)
        stderr.write(format === "json" ? printableJson(Logger.formatJson.log(line)) : text.log(line))
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )
}
