import type { GroupEvents } from "@blackgate/core"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import { stderr, stdout } from "../Lines.ts"
import type { Ports } from "../Listening.ts"
import {
  type Asks,
  type Beginning,
  fromWire,
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

/** A worker, as the coordinator sees it. */
export class WorkerThread {
  readonly name: string
  readonly ended = Deferred.makeUnsafe<Ending>()
  /** That it listens, or why it does not. */
  readonly listens = Deferred.makeUnsafe<Listens, Refusal | WorkerGone>()
  private readonly thread: Worker
  private readonly asked = new Map<number, (answer: Effect.Effect<unknown, Refusal | WorkerGone>) => void>()
  private readonly happened: (events: ReadonlyArray<GroupEvents.Event>) => void
  private readonly underWay: Int32Array
  private error: Error | undefined
  private isOver = false
  private next = 0

  constructor(
    beginning: Omit<Beginning, "underWay">,
    happened: (events: ReadonlyArray<GroupEvents.Event>) => void
  ) {
    const { worker } = beginning
    this.name = `worker ${worker}`
    this.happened = happened
    const underWay = new SharedArrayBuffer(4)
    this.underWay = new Int32Array(underWay)
    const workerData: Beginning = { ...beginning, underWay }
    this.thread = new Worker(entry, { name: this.name, workerData })
    this.thread.on("message", (word: Word) => this.hear(word))
    this.thread.on("messageerror", (error) => {
      this.error ??= error
      void this.thread.terminate()
    })
    this.thread.on("error", (error) => {
      this.error = error instanceof Error ? error : new WorkerDefect(String(error))
    })
    this.thread.once("exit", (code) => {
      this.isOver = true
      const gone = this.gone(`has ended ${this.error === undefined ? `with ${code}` : `by ${this.error.message}`}`)
      Deferred.doneUnsafe(this.listens, gone)
      for (const answer of this.asked.values()) answer(gone)
      this.asked.clear()
      Deferred.doneUnsafe(this.ended, Effect.succeed({ code, error: this.error }))
    })
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
        return this.happened(word.events)
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
    patience: "5 seconds" | "60 seconds" = "5 seconds"
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

  /** Ends it, whatever it does. */
  readonly terminate: Effect.Effect<void> = Effect.suspend(() => {
    void this.thread.terminate()
    return Effect.asVoid(Deferred.await(this.ended))
  })
}

const failed = (error: Refusal | WorkerDefect): Effect.Effect<never, Refusal> =>
  error instanceof WorkerDefect ? Effect.die(error) : Effect.fail(error)
