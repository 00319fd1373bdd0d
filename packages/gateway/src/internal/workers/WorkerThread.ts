import type { GroupEvents } from "@blackgate/core"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { inspect } from "node:util"
import { Worker, type WorkerOptions } from "node:worker_threads"
import { stderr, stdout } from "../Lines.ts"
import type { Ports } from "../Listening.ts"
import {
  type Asks,
  Beat,
  type Beginning,
  fromWire,
  isWord,
  type Question,
  type Refusal,
  type Word,
  WorkerDefect
} from "./protocol.ts"

/** It has ended before it has answered, or does not answer. */
export class WorkerGone extends Data.TaggedError("WorkerGone")<{ readonly message: string }> {}

/** How a thread has ended. */
export interface Ending {
  readonly code: number
  /** What it has thrown. */
  readonly error: Error | undefined
}

export interface Listens {
  readonly addresses: ReadonlyArray<string>
  readonly ports: Ports
}

// Where this program is compiled, and where it is not.
const entry = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

/** Starts a thread that speaks as a worker does. It throws if the system has no room for one more. */
export type StartThread = (options: WorkerOptions) => Worker
const startThread: StartThread = (options) => new Worker(entry, options)

/** How a worker is to be looked after. */
export interface Care {
  readonly happened: (events: ReadonlyArray<GroupEvents.Event>) => void
  /** How many milliseconds lie between two looks at its pulse, and after how many of them without one it is taken for dead. */
  readonly look: { readonly every: number; readonly atMost: number }
  readonly startThread?: StartThread | undefined
}

/** Those that have not ended. */
const running = new Set<WorkerThread>()

// Node waits for the end of its threads before it ends: for ever, if one is in a call of the system that does not return.
process.once("exit", (code) => {
  if (![...running].some(({ isStuck }) => isStuck)) return
  const signal = code === 143 ? "SIGTERM" : code === 130 ? "SIGINT" : "SIGKILL"
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
})

// A config of 10,000 routes and as many groups blocks a loop for eight seconds, where each worker has a core.
const timesToBuild = 4

// Looks in vain, after which it would not end with the process, or has not ended though it was told to.
const aFew = 5

/** A worker, as the coordinator sees it. */
export class WorkerThread {
  readonly name: string
  readonly ended = Deferred.makeUnsafe<Ending>()
  /** That it listens, or why it does not. */
  readonly listens = Deferred.makeUnsafe<Listens, Refusal | WorkerGone>()
  /** It has ended, or can't do anything any more but that. */
  isOver = false
  private readonly thread: Worker
  private readonly asked = new Map<number, (answer: Effect.Effect<unknown, Refusal | WorkerGone>) => void>()
  private readonly care: Care
  private readonly underWay: Int32Array
  private readonly beats: Int32Array
  private error: Error | undefined
  private next = 0
  private seen = 0
  private silent = 0
  /** How often it was looked at since it was over. */
  private looksSince = 0

  constructor(beginning: Omit<Beginning, "underWay" | "pulse">, care: Care) {
    const { worker } = beginning
    this.name = `worker ${worker}`
    this.care = care
    const underWay = new SharedArrayBuffer(4)
    const words = new SharedArrayBuffer(8)
    this.underWay = new Int32Array(underWay)
    this.beats = new Int32Array(words)
    const workerData: Beginning = { ...beginning, underWay, pulse: { words, every: care.look.every } }
    this.thread = (care.startThread ?? startThread)({ name: this.name, workerData })
    running.add(this)
    this.thread.on("message", (word: unknown) => {
      if (isWord(word)) this.hear(word)
    })
    this.thread.on("messageerror", (error) => this.fail(error))
    this.thread.on("error", (thrown) => {
      this.error ??= errorOf(thrown)
    })
    this.thread.once("exit", (code) => {
      running.delete(this)
      this.over(this.error === undefined ? `has ended with ${code}` : `has ended: ${this.error.message}`)
      Deferred.doneUnsafe(this.ended, Effect.succeed({ code, error: this.error }))
    })
  }

  /** Ends it, for a reason; nobody waits for its answers any more. */
  fail(error: Error): void {
    if (this.isOver) return
    this.error ??= error
    this.over(`has been ended: ${error.message}`)
    void this.thread.terminate()
  }

  /**
   * Has it ended if its event loop is blocked for too long. That is counted in looks, not in time: who looks may have been held up itself. Before
   * its first beat it has not begun yet, and while it builds a config it has more time. Answers whether it is to be said now that it can't be
   * ended.
   */
  look(): boolean {
    const beats = Atomics.load(this.beats, Beat.count)
    const { look: { atMost: ordinary, every } } = this.care
    const atMost = Atomics.load(this.beats, Beat.isBuilding) === 1 ? timesToBuild * ordinary : ordinary
    this.silent = beats === this.seen && beats !== 0 ? this.silent + 1 : 0
    this.seen = beats
    if (this.silent >= atMost) {
      this.fail(withoutStack(`it has hung for ${(this.silent * every) / 1000} s: something in it does not end`))
    }
    if (this.isOver) this.looksSince++
    return this.looksSince === aFew
  }

  /** Whether it may be in a call of the system that does not return. */
  get isStuck(): boolean {
    return this.silent >= aFew
  }

  get hasEnded(): boolean {
    return !running.has(this)
  }

  private over(why: string): void {
    if (this.isOver) return
    this.isOver = true
    const gone = this.gone(why)
    Deferred.doneUnsafe(this.listens, gone)
    for (const answer of this.asked.values()) answer(gone)
    this.asked.clear()
  }

  private gone(why: string): Effect.Effect<never, WorkerGone> {
    return Effect.fail(new WorkerGone({ message: `${this.name} ${why}` }))
  }

  private hear(word: Word): void {
    switch (word._tag) {
      case "lines":
        Atomics.sub(this.underWay, 0, word.text.length)
        return (word.to === "stdout" ? stdout : stderr).pass(word.text)
      case "listens":
        return void Deferred.doneUnsafe(this.listens, Effect.succeed(word))
      case "cannot":
        return void Deferred.doneUnsafe(this.listens, failed(fromWire(word.error)))
      case "happened":
        return this.care.happened(word.events)
      case "answer":
        return this.settle(word.id, Effect.succeed(word.value))
      case "refusal":
        return this.settle(word.id, failed(fromWire(word.error)))
    }
  }

  private settle(id: number, answer: Effect.Effect<unknown, Refusal>): void {
    this.asked.get(id)?.(answer)
    this.asked.delete(id)
  }

  /** Asks something, and waits for the answer as long as one that works may take to give it. */
  ask<K extends keyof Asks>(
    ask: K,
    value: Asks[K][0],
    patience: "5 seconds" | "3 minutes" = "5 seconds"
  ): Effect.Effect<Asks[K][1], Refusal | WorkerGone> {
    return Effect.callback<Asks[K][1], Refusal | WorkerGone>((resume) => {
      if (this.isOver) return resume(this.gone("has ended"))
      const id = this.next++
      this.asked.set(id, (answer) => resume(answer as Effect.Effect<Asks[K][1], Refusal | WorkerGone>)) // of its own question
      const question = { id, ask, value } as Question // of one ask
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
      this.thread.postMessage(question)
      return Effect.sync(() => this.asked.delete(id))
    }).pipe(
      // A reload, which asks, can't be interrupted; to wait for one that hangs can.
      Effect.interruptible,
      Effect.timeoutOrElse({ duration: patience, orElse: () => this.gone(`has not answered in ${patience}`) })
    )
  }

  /** Ends it, whatever it does, and waits for that for a while: a call of the system that does not return can't be ended. */
  readonly terminate: Effect.Effect<void> = Effect.suspend(() => {
    void this.thread.terminate()
    return Effect.asVoid(
      Effect.timeoutOption(Effect.interruptible(Deferred.await(this.ended)), "5 seconds")
    )
  })
}

const withoutStack = (message: string): WorkerDefect => {
  const error = new WorkerDefect(message)
  return Object.assign(error, { stack: `${error.name}: ${message}` })
}

/** What it has thrown may be anything, and have been made to be no text. */
const errorOf = (thrown: unknown): Error => {
  try {
    if (thrown instanceof Error && typeof thrown.message === "string") return thrown
    return withoutStack(typeof thrown === "string" ? thrown : inspect(thrown, { depth: 1, breakLength: Infinity }))
  } catch {
    return withoutStack("it has thrown something that can't be shown")
  }
}

const failed = (error: Refusal | WorkerDefect): Effect.Effect<never, Refusal> =>
  error instanceof WorkerDefect ? Effect.die(error) : Effect.fail(error)
