/**
 * What the coordinator and its workers say to each other: plain data, as `postMessage` clones it. Both ends are of one program, so no more of it is
 * checked than that it is theirs: a worker runs modules of others too, which may post whatever they like.
 */
import type { GroupEvents, GroupSnapshot } from "@blackgate/core"
import type * as Metric from "effect/Metric"
import type { GroupChange, Route } from "../../AdminApi.ts"
import { NoSuchGroup, Refused } from "../../AdminApi.ts"
import { CannotListen } from "../../CannotListen.ts"
import { ConfigError, type Problem } from "../../ConfigError.ts"
import type { Ports } from "../Listening.ts"
import type { ModuleFiles } from "../ModuleImport.ts"
import type { LogFormat } from "../ProgramLog.ts"
import type { Files } from "../Read.ts"

/** A config as it was read. A worker makes of it what the coordinator has made of it. */
interface Source {
  readonly file: string
  readonly files: Files
  readonly module: ModuleFiles
  /** What listeners have that may have any port. */
  readonly ports: Ports
}

/** What a worker is started with. */
export interface Beginning {
  /** From 1. */
  readonly worker: number
  /** Of the limits that all of them share. */
  readonly limits: SharedArrayBuffer
  /** How many characters of log lines are on their way to the coordinator. */
  readonly underWay: SharedArrayBuffer
  readonly format: LogFormat | undefined
  readonly source: Source
  /** What operators have changed of its groups. */
  readonly changes: ReadonlyArray<Change>
  readonly pulse: Pulse
}

/** How the coordinator knows that the event loop of a worker is not blocked: there a number grows, every so many milliseconds. */
interface Pulse {
  readonly words: SharedArrayBuffer
  readonly every: number
}

/** Words of a pulse: what grows, and 1 while a config is being built, which blocks a loop for as long as it takes. */
export const Beat = { count: 0, isBuilding: 1 } as const

/** What a worker is asked, and what it answers. */
export interface Asks {
  /** Answers the ports that its listeners will have. */
  readonly prepare: readonly [question: Source, answer: Ports]
  /** Answers where it listens now. */
  readonly commit: readonly [question: undefined, answer: ReadonlyArray<string>]
  readonly abort: readonly [question: undefined, answer: void]
  readonly isReady: readonly [question: undefined, answer: boolean]
  readonly metrics: readonly [question: undefined, answer: ReadonlyArray<Metric.Metric.Snapshot>]
  readonly groups: readonly [question: undefined, answer: ReadonlyArray<GroupSnapshot.GroupSnapshot>]
  readonly routes: readonly [question: undefined, answer: ReadonlyArray<typeof Route.Type>]
  readonly change: readonly [question: Change, answer: void]
  /** From then on it tells what happens in its groups, or does not any more. */
  readonly tell: readonly [question: boolean, answer: void]
  /** Ends with the thread. */
  readonly drain: readonly [question: undefined, answer: void]
}

export interface Change {
  readonly group: string
  readonly change: typeof GroupChange.Type
}

export type Question = {
  readonly [K in keyof Asks]: { readonly id: number; readonly ask: K; readonly value: Asks[K][0] }
}[keyof Asks]

/** What a worker says. */
export type Word =
  /** It listens. */
  | { readonly _tag: "listens"; readonly addresses: ReadonlyArray<string>; readonly ports: Ports }
  /** It does not come to listen, and ends. */
  | { readonly _tag: "cannot"; readonly error: WireError }
  | { readonly _tag: "answer"; readonly id: number; readonly value: unknown }
  | { readonly _tag: "refusal"; readonly id: number; readonly error: WireError }
  | { readonly _tag: "lines"; readonly to: "stdout" | "stderr"; readonly text: string }
  | { readonly _tag: "happened"; readonly events: ReadonlyArray<GroupEvents.Event> }

/** Whether a worker of this program has said that, and not some other program that runs in its thread. */
export const isWord = (said: unknown): said is Word => {
  if (typeof said !== "object" || said === null) return false
  const { _tag, addresses, error, events, id, ports, text, to } = said as { readonly [key: string]: unknown }
  const isError = typeof error === "object" && error !== null && "_tag" in error
  switch (_tag) {
    case "listens":
      return Array.isArray(addresses) && typeof ports === "object" && ports !== null
    case "cannot":
      return isError
    case "answer":
      return typeof id === "number"
    case "refusal":
      return typeof id === "number" && isError
    case "lines":
      return (to === "stdout" || to === "stderr") && typeof text === "string"
    case "happened":
      return Array.isArray(events)
    default:
      return false
  }
}

/** An error, without its class. */
export type WireError =
  | { readonly _tag: "ConfigError"; readonly file: string; readonly problems: ReadonlyArray<Problem> }
  | {
    readonly _tag: "CannotListen"
    readonly address: string
    readonly code: string | undefined
    readonly message: string
  }
  | { readonly _tag: "NoSuchGroup"; readonly group: string }
  | { readonly _tag: "Refused"; readonly message: string }
  | { readonly _tag: "Defect"; readonly message: string; readonly stack: string | undefined }

export type Refusal = ConfigError | CannotListen | NoSuchGroup | Refused

/** What nobody has thought of, in a worker. */
export class WorkerDefect extends Error {
  override readonly name = "WorkerDefect"
}

const fields = (cause: unknown): { readonly code?: string; readonly message: string; readonly stack?: string } =>
  cause instanceof Error ? cause : { message: String(cause) }

export const toWire = (error: unknown): WireError => {
  if (error instanceof ConfigError) return { _tag: "ConfigError", file: error.file, problems: error.problems }
  if (error instanceof CannotListen) {
    const { code, message } = fields(error.cause)
    return { _tag: "CannotListen", address: error.address, code, message }
  }
  if (error instanceof NoSuchGroup) return { _tag: "NoSuchGroup", group: error.group }
  if (error instanceof Refused) return { _tag: "Refused", message: error.message }
  const { message, stack } = fields(error)
  return { _tag: "Defect", message, stack }
}

/** The error with its class again. */
export const fromWire = (error: WireError): Refusal | WorkerDefect => {
  switch (error._tag) {
    case "ConfigError":
      return new ConfigError(error)
    case "CannotListen": {
      const { address, code, message } = error
      return new CannotListen({ address, cause: Object.assign(new Error(message), code === undefined ? {} : { code }) })
    }
    case "NoSuchGroup":
      return new NoSuchGroup({ group: error.group })
    case "Refused":
      return new Refused({ message: error.message })
    case "Defect":
      return Object.assign(new WorkerDefect(error.message), { stack: error.stack })
  }
}
