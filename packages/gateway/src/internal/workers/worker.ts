/**
 * The entry point of a worker: a thread that serves the config that the coordinator gives it. It reads no files of a config, hears no
 * signals, and answers no operators.
 */
import { GroupSnapshot, SharedLimits } from "@blackgate/core"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { parentPort, workerData } from "node:worker_threads"
import type { Config } from "../../ConfigSchema.ts"
import { loadPlan } from "../configFile.ts"
import { Alone } from "../Kept.ts"
import { stderr, stdout } from "../Lines.ts"
import { changeGroup, eventsOf, operationsOf } from "../operations.ts"
import type { Prepared } from "../Prepared.ts"
import { ProgramLog } from "../ProgramLog.ts"
import { fromFiles } from "../Read.ts"
import { Sentry } from "../Sentry.ts"
import { serve, type Serving } from "../Serving.ts"
import { logStrays } from "../strays.ts"
import { type Asks, Beat, type Beginning, type Question, toWire, type Word } from "./protocol.ts"

const { changes, format, limits, pulse, source: first, underWay, worker } = workerData as Beginning
const port = parentPort!
const say = (word: Word): void => port.postMessage(word)

// As long as this loop turns.
const beats = new Int32Array(pulse.words)
const beat = () => Atomics.add(beats, Beat.count, 1)
const building = (is: boolean) => Effect.sync(() => void Atomics.store(beats, Beat.isBuilding, is ? 1 : 0))
setInterval(beat, pulse.every).unref()
beat()
Effect.runSync(building(true))

// As many as the coordinator would keep, too.
const mostUnderWay = 4 * 1024 * 1024
const characters = new Int32Array(underWay)
for (const [to, lines] of [["stdout", stdout], ["stderr", stderr]] as const) {
  lines.redirect((text) => {
    if (Atomics.load(characters, 0) > mostUnderWay) return false
    Atomics.add(characters, 0, text.length)
    say({ _tag: "lines", to, text })
    return true
  })
}

const sentry = new Sentry()
const log = new ProgramLog(sentry, format)
// The coordinator has said what there is to say of it.
const apply = (config: Config) =>
  Effect.suspend(() => {
    log.settings = config.log ?? {}
    return Effect.provideService(sentry.use(config.sentry?.dsn), References.MinimumLogLevel, "None")
  })

// What is left out is left out of the sum.
const whole = { maxKeys: 1001, maxCircuits: 1000 }

type Answering = { readonly [K in keyof Asks]: (question: Asks[K][0]) => Effect.Effect<Asks[K][1], unknown> }

const answering = (serving: Serving, drained: Effect.Effect<void>): Answering => {
  const operations = operationsOf(() => serving)
  let prepared: { readonly change: Prepared; readonly config: Config } | undefined
  let telling: Fiber.Fiber<void> | undefined
  // One that has been given up may be under way still.
  const inOrder = Semaphore.withPermit(Semaphore.makeUnsafe(1))
  const take = (use: (change: NonNullable<typeof prepared>) => Effect.Effect<void>) =>
    inOrder(Effect.suspend(() => {
      const taken = prepared
      prepared = undefined
      return taken === undefined ? Effect.void : use(taken)
    }))
  const inTurn = Semaphore.withPermit(Semaphore.makeUnsafe(1))
  const tell = (on: boolean) =>
    inTurn(Effect.gen(function*() {
      if (telling !== undefined) yield* Fiber.interrupt(telling)
      telling = undefined
      if (!on) return
      const told = Stream.runForEachArray(
        eventsOf(serving.groups()),
        (events) => Effect.sync(() => say({ _tag: "happened", events }))
      )
      telling = yield* Effect.forkDetach(told, { startImmediately: true })
    }))
  return {
    prepare: ({ file, files, module, ports }) =>
      inOrder(
        Effect.gen(function*() {
          yield* building(true)
          const plan = yield* loadPlan(file, fromFiles(files), module)
          const change = yield* serving.prepare(plan, ports)
          prepared = { change, config: plan.loaded.config }
          return change.ports
        }).pipe(Effect.ensuring(building(false)))
      ),
    commit: () =>
      Effect.andThen(
        take(({ change, config }) =>
          Effect.gen(function*() {
            yield* change.commit
            yield* apply(config)
            // It has other groups.
            if (telling !== undefined) yield* tell(true)
          })
        ),
        Effect.sync(() => serving.addresses())
      ),
    abort: () => take(({ change }) => change.abort),
    isReady: () => serving.isReady,
    metrics: () => operations.metrics,
    groups: () => Effect.suspend(() => Effect.forEach(serving.groups(), (group) => GroupSnapshot.take(group, whole))),
    routes: () => operations.routes,
    change: ({ change, group }) => Effect.asVoid(changeGroup(serving.groups(), group, change)),
    tell,
    drain: () => drained
  }
}

const answer = (answers: Answering, { ask, id, value }: Question): Effect.Effect<void> =>
  Effect.uninterruptible((answers[ask] as (value: unknown) => Effect.Effect<unknown, unknown>)(value)).pipe(
    Effect.map((value) => say({ _tag: "answer", id, value })),
    Effect.catchCause((cause) => Effect.sync(() => say({ _tag: "refusal", id, error: toWire(Cause.squash(cause)) })))
  )

const program = Effect.scoped(Effect.gen(function*() {
  yield* logStrays
  const plan = yield* loadPlan(first.file, fromFiles(first.files), first.module)
  yield* apply(plan.loaded.config)
  const alone = yield* Effect.context<never>()
  const serving = yield* serve(plan, {
    worker,
    ports: first.ports,
    logsTo: (logger) => {
      log.also = logger
    }
  }).pipe(
    Effect.provideService(Alone, alone),
    Effect.provide(SharedLimits.layer(limits, worker - 1))
  )
  // In the turn in which it has begun to listen: no request comes before.
  for (const { change, group } of changes) yield* Effect.ignore(changeGroup(serving.groups(), group, change))
  const drain = yield* Deferred.make<void>()
  const answers = answering(serving, Effect.asVoid(Deferred.succeed(drain, undefined)))
  const context = yield* Effect.context<never>()
  port.on("message", (question: Question) => {
    Effect.runForkWith(context)(answer(answers, question))
  })
  yield* building(false)
  say({ _tag: "listens", addresses: serving.addresses(), ports: serving.ports() })
  yield* Deferred.await(drain)
})).pipe(
  Effect.catch((error) => Effect.sync(() => say({ _tag: "cannot", error: toWire(error) }))),
  Effect.annotateLogs("worker", worker),
  Effect.provide(log.layer)
)

Effect.runFork(program).addObserver((exit) => {
  // The thread ends as one does that has thrown.
  if (Exit.isFailure(exit)) {
    return void setImmediate(() => {
      throw Cause.squash(exit.cause)
    })
  }
  process.exit(0)
})
