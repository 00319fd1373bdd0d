import { SharedLimits } from "@blackgate/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Ports } from "../Listening.ts"
import type { Plan } from "../Plan.ts"
import type { Prepared } from "../Prepared.ts"
import type { LogFormat } from "../ProgramLog.ts"
import { Changes } from "./Changes.ts"
import type { Sourced } from "./Coordinator.ts"
import { type Asks, type Refusal, WorkerDefect } from "./protocol.ts"
import { Readers } from "./Readers.ts"
import { type Care, type Ending, type StartThread, WorkerGone, WorkerThread } from "./WorkerThread.ts"

// How long a dead worker's place stays empty: longer each time, unless the last one has lived for a while.
const shortestPause = 100
const longestPause = 10_000
const aWhile = 10_000

// How often it is looked whether the workers' loops turn, in milliseconds, and after how many looks in vain one is taken for dead.
const looks = { every: 1000, atMost: 30 }

// To drain takes as long as the config says, and then some.
const grace = 5000

/** What a worker has answered, and which. */
export interface Answered<A> {
  readonly place: number
  readonly worker: WorkerThread
  readonly value: A
}

export interface WorkersOptions {
  readonly count: number
  readonly first: Sourced
  readonly format: LogFormat | undefined
  readonly limits: SharedArrayBuffer
  /** One thing at a time: a reload, or a worker that takes the place of another one, or a change of a group. */
  readonly lock: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** 30 looks, a second apart, where nothing is said of it. */
  readonly look?: Care["look"] | undefined
  readonly startThread?: StartThread | undefined
}

/** The threads that serve, each with its place: whoever dies is replaced. */
export class Workers {
  ports: Ports = {}
  addresses: ReadonlyArray<string> = []
  readonly changes = new Changes()
  readonly readers: Readers
  readonly lock: WorkersOptions["lock"]
  private readonly options: WorkersOptions
  private readonly places: Array<WorkerThread | undefined>
  private current: Sourced
  /** Those that are looked after, in a place or not. */
  private readonly threads = new Set<WorkerThread>()
  private readonly care: Care
  private draining = false

  constructor(options: WorkersOptions) {
    this.options = options
    const { look = looks, startThread } = options
    this.care = { look, startThread, happened: (events) => this.readers.happened(events) }
    this.lock = options.lock
    this.current = options.first
    this.places = Array.from({ length: options.count }, () => undefined)
    this.readers = new Readers((on) => Effect.asVoid(this.askAll("tell", on)))
  }

  get plan(): Plan {
    return this.current.plan
  }

  /** Those that live, by their places. */
  get alive(): ReadonlyArray<readonly [place: number, thread: WorkerThread]> {
    return this.places.flatMap((thread, place) =>
      thread === undefined || thread.isOver ? [] : [[place, thread] as const]
    )
  }

  readonly areReady: Effect.Effect<boolean> = Effect.suspend(() =>
    this.draining || this.alive.length < this.options.count
      ? Effect.succeed(false)
      : Effect.map(
        this.askAll("isReady", undefined),
        (ready) => ready.length === this.options.count && ready.every(({ value }) => value)
      )
  )

  /** What those answer that do. */
  askAll<K extends keyof Asks>(ask: K, value: Asks[K][0]): Effect.Effect<ReadonlyArray<Answered<Asks[K][1]>>> {
    const one = ([place, worker]: Workers["alive"][number]) =>
      Effect.match(worker.ask(ask, value), {
        onSuccess: (value) => [{ place, worker, value }],
        onFailure: () => []
      })
    return Effect.suspend(() =>
      Effect.map(Effect.forEach(this.alive, one, { concurrency: "unbounded" }), (answers) => answers.flat())
    )
  }

  /** Starts them. With the scope they drain. */
  readonly start: Effect.Effect<void, Refusal | WorkerGone, Scope.Scope> = Effect.gen({ self: this }, function*() {
    // To the end of the drain.
    yield* Effect.forkScoped(this.lookAfter)
    yield* Effect.addFinalizer(() => this.drain)
    const begin = (place: number) => Effect.andThen(this.fill(place), Effect.forkScoped(this.watch(place)))
    const [first, ...others] = this.places.keys()
    yield* firstThen(this.plan, begin(first!), () => Effect.forEach(others, begin, atOnce))
  })

  /** Ends those that hang. */
  private readonly lookAfter: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    const stuck: Array<string> = []
    for (const thread of this.threads) {
      if (thread.hasEnded) this.threads.delete(thread)
      else if (thread.look()) stuck.push(thread.name)
    }
    const said = Effect.forEach(stuck, (name) =>
      Effect.logError(
        `${name} can't be ended: it is in a call of the system that does not return, and still listens. `
          + "Connections that come to it are lost until the program is started anew"
      ), { discard: true })
    return Effect.andThen(said, Effect.sleep(this.care.look.every))
  }))

  /** Puts a new worker into a place, as soon as it listens. */
  private fill(place: number): Effect.Effect<void, Refusal | WorkerGone> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function*() {
        const thread = yield* this.begin(place)
        const begun = Effect.gen({ self: this }, function*() {
          const { addresses, ports } = yield* Effect.timeoutOrElse(Deferred.await(thread.listens), {
            duration: "3 minutes",
            orElse: () => Effect.fail(new WorkerGone({ message: `${thread.name} does not come to listen` }))
          })
          this.ports = ports
          this.addresses = addresses
          this.places[place] = thread
          // Whoever reads from now on asks for it.
          if (this.readers.areThere) yield* Effect.ignore(thread.ask("tell", true))
        })
        yield* Effect.onError(restore(begun), () => Effect.andThen(thread.terminate, this.release(place)))
      })
    )
  }

  private begin(place: number): Effect.Effect<WorkerThread, WorkerGone> {
    const { format, limits } = this.options
    const { files, module, plan } = this.current
    const source = { file: plan.loaded.file, files, module, ports: this.ports }
    return Effect.try({
      try: () => {
        const thread = new WorkerThread(
          { worker: place + 1, limits, format, source, changes: this.changes.all },
          this.care
        )
        this.threads.add(thread)
        return thread
      },
      catch: (cause) => new WorkerGone({ message: `worker ${place + 1} can't be started: ${String(cause)}` })
    })
  }

  private release(place: number): Effect.Effect<void> {
    return SharedLimits.release(this.options.limits, place)
  }

  /** Replaces those that die in a place. */
  private watch(place: number): Effect.Effect<never> {
    let pause = shortestPause
    const refill = (): Effect.Effect<void> =>
      Effect.gen({ self: this }, function*() {
        yield* Effect.sleep(pause)
        pause = Math.min(2 * pause, longestPause)
        const filled = yield* Effect.exit(this.lock(this.fill(place)))
        if (Exit.isSuccess(filled)) return
        // Whatever it was: a place that nobody looks after stays empty.
        const why = Cause.squash(filled.cause)
        yield* Effect.logError(`worker ${place + 1} can't be replaced yet: ${why instanceof Error ? why.message : why}`)
        yield* refill()
      })
    return Effect.forever(Effect.gen({ self: this }, function*() {
      const from = yield* Clock.currentTimeMillis
      const ending = yield* Deferred.await(this.places[place]!.ended)
      this.places[place] = undefined
      yield* this.release(place)
      if ((yield* Clock.currentTimeMillis) - from > aWhile) pause = shortestPause
      yield* tellOf(place, ending)
      yield* refill()
      yield* Effect.logInfo(`worker ${place + 1} is replaced`)
    }))
  }

  /** Has all of them build a config beside the one that runs: all can, or none does. To be run one at a time. */
  prepare(next: Sourced): Effect.Effect<Prepared, Refusal | WorkerGone> {
    return Effect.gen({ self: this }, function*() {
      if (this.draining) return yield* new WorkerGone({ message: "the program is about to end" })
      const threads = this.alive.map(([, thread]) => thread)
      const { files, module, plan: { loaded: { file } } } = next
      const known = this.ports
      const prepare = (thread: WorkerThread, ports: Ports) =>
        thread.ask("prepare", { file, files, module, ports }, "3 minutes")
      // It is done before whatever is asked next, and nobody need wait for one that is busy.
      const abort = Effect.forEach(threads, (thread) => Effect.exit(thread.ask("abort", undefined)), atOnce)
      const [first, ...others] = threads
      // Who takes a place from now on does so when this is over.
      const prepared = first === undefined
        ? this.ports
        : yield* Effect.onError(
          firstThen(
            next.plan,
            prepare(first, known),
            (ports = known) => Effect.forEach(others, (each) => prepare(each, ports), atOnce)
          ),
          () => abort
        )
      return { commit: this.commit(threads, next, prepared), abort }
    })
  }

  private commit(threads: ReadonlyArray<WorkerThread>, next: Sourced, prepared: Ports): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.forEach(threads, (thread) =>
        Effect.matchCause(thread.ask("commit", undefined, "3 minutes"), {
          onSuccess: (addresses) => {
            this.addresses = addresses
          },
          // The others have changed, and so does the one that takes its place.
          onFailure: (cause) => {
            const why = Cause.squash(cause)
            thread.fail(new WorkerDefect(`it could not change to the new config: ${String(why)}`, { cause: why }))
          }
        }), atOnce)
      this.changes.reloaded(this.plan, next.plan)
      this.current = next
      this.ports = prepared
    })
  }

  private readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    this.draining = true
    const longest = Math.max(
      ...this.plan.listeners.map(({ options: { drainDelay = 0, drainTimeout = 30_000 } }) =>
        Number(drainDelay) + Number(drainTimeout)
      )
    )
    const drain = (place: number) => {
      const thread = this.places[place]
      return thread === undefined ? Effect.void : Effect.all([
        Effect.ignore(thread.ask("drain", undefined)),
        Effect.timeoutOrElse(Effect.interruptible(Effect.asVoid(Deferred.await(thread.ended))), {
          duration: longest + grace,
          orElse: () => thread.terminate
        })
      ], atOnce)
    }
    // What one has that has not ended as it should is for those who wait in the others yet.
    return Effect.forEach(this.places.keys(), (place) => Effect.andThen(drain(place), this.release(place)), atOnce)
  })
}

const atOnce = { concurrency: "unbounded", discard: true } as const

/** What others do needs the ports that the first one has got, if it may get any. */
const firstThen = <A, E, R>(
  { listeners }: Plan,
  first: Effect.Effect<A, E, R>,
  others: (of?: A) => Effect.Effect<void, E, R>
): Effect.Effect<A, E, R> =>
  listeners.some(({ options: { port }, role }) => role === "gateway" && port === 0)
    ? Effect.tap(first, others)
    : Effect.map(Effect.all([first, others()], { concurrency: "unbounded" }), ([answer]) => answer)

const tellOf = (place: number, { code, error }: Ending): Effect.Effect<void> => {
  const what = `worker ${place + 1} has ended, and is replaced`
  return error === undefined
    ? Effect.logError(`${what}: it has exited with ${code}`)
    : Effect.logError(what, Cause.die(error))
}
