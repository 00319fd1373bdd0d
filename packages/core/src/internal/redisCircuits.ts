import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type {
  Circuits,
  CircuitStore,
  Known,
  Outcome,
  RedisOptions,
  Refusal,
  Settings,
  Standing,
  State,
  StoreUnavailable,
  Ticket,
  Transition
} from "../CircuitStore.ts"
import { check, duration, type InvalidOptions, whole } from "../InvalidOptions.ts"
import { type Address, CircuitScript, type Moved, type Policy, policyOf } from "./circuitScripts.ts"
import { HeardCircuits } from "./HeardCircuits.ts"
import { RedisHealth } from "./redisHealth.ts"
import { type Timed, Timers } from "./Timers.ts"
import * as Transitions from "./transitions.ts"

const optionsSchema = Schema.Struct({
  prefix: Schema.optional(Schema.String),
  timeout: Schema.optional(duration),
  onStoreError: Schema.optional(Schema.Literals(["allow", "refuse"])),
  idleTimeToLive: Schema.optional(duration),
  maxPending: Schema.optional(whole(1))
})

/** How long an open circuit is remembered without asking: the message that says it has closed may be lost. */
const remembered = 1000
/** How long what an operator asks may take. */
const patience = Duration.seconds(5)
/** How many circuits are listed. */
const mostListed = 1000

const transition = Schema.fromJsonString(Schema.Struct({
  group: Schema.String,
  circuit: Schema.String,
  from: Schema.Literals(["closed", "open", "half-open"]),
  to: Schema.Literals(["closed", "open", "half-open"]),
  forced: Schema.Boolean
}))
const decode = Schema.decodeUnknownOption(transition)

type Unavailable = (circuit: string, cause: unknown) => StoreUnavailable

/** Circuits in Redis. */
export const make = (
  options: RedisOptions,
  unavailable: Unavailable
): Effect.Effect<CircuitStore, InvalidOptions, Redis.Redis | Scope.Scope> =>
  Effect.gen(function*() {
    yield* check("CircuitStore.layerRedis", optionsSchema, options)
    const redis = yield* Redis.Redis
    const { onStoreError = "allow", prefix = "blackgate:circuit:" } = options
    const timeout = Duration.toMillis(options.timeout ?? 100)
    const timers = yield* Timers.make
    const health = yield* RedisHealth.make(redis, {
      key: `${prefix}alive`,
      timeout,
      meanwhile: `circuits ${onStoreError} every call`
    }, () => timers.now())
    const store = new Store({
      redis,
      script: new CircuitScript(redis),
      prefix,
      timeout,
      timers,
      health,
      unavailable,
      instead: onStoreError === "allow"
        ? { _tag: "Ticket", settle: () => {} }
        : { _tag: "Refusal", state: "open", retryAfter: 1000 },
      idle: Duration.toMillis(options.idleTimeToLive ?? "1 hour"),
      maxPending: options.maxPending ?? 10_000,
      fork: Effect.runForkWith(yield* Effect.context<never>())
    })
    yield* Effect.timeoutOption(store.listen, remembered)
    return store
  })

interface Means {
  readonly redis: Redis.Redis["Service"]
  readonly script: CircuitScript
  readonly prefix: string
  readonly timeout: number
  readonly timers: Timers
  readonly health: RedisHealth
  readonly unavailable: Unavailable
  /** What is said of every call while Redis does not answer. */
  readonly instead: Ticket | Refusal
  readonly idle: number
  readonly maxPending: number
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

class Store implements CircuitStore {
  readonly means: Means
  /** Outcomes that are under way. */
  pending = 0
  private readonly channel: string
  private readonly groups = new Map<string, Set<RedisCircuits>>()

  constructor(means: Means) {
    this.means = means
    this.channel = `${means.prefix}transitions`
  }

  circuits(group: string, settings: Settings): Effect.Effect<Circuits, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const transitions = yield* Transitions.make
      const policy = policyOf(this.channel, group, this.means.idle, settings)
      const circuits = new RedisCircuits(this, group, policy, settings, transitions)
      const known = this.groups.get(group) ?? new Set()
      this.groups.set(group, known.add(circuits))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          known.delete(circuits)
          // Names may come from data, and go again.
          if (known.size === 0 && this.groups.get(group) === known) this.groups.delete(group)
        })
      )
      return circuits
    })
  }

  // The transitions of all processes, this one's too, in the order in which Redis made them.
  get listen(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const listening = yield* Deferred.make<void>()
      const hear = Effect.gen({ self: this }, function*() {
        const messages = yield* this.means.redis.subscribe(this.channel)
        yield* Deferred.succeed(listening, undefined)
        while (true) {
          const { message } = yield* Queue.take(messages)
          const heard = decode(message)
          if (Option.isNone(heard)) continue
          for (const circuits of this.groups.get(heard.value.group) ?? []) yield* circuits.heard(heard.value)
        }
      })
      // A connection that is lost for good is opened again; what was published meanwhile nobody hears of here.
      yield* Effect.forkScoped(
        hear.pipe(Effect.scoped, Effect.ignoreCause, Effect.andThen(Effect.sleep(remembered)), Effect.forever)
      )
      yield* Deferred.await(listening)
    })
  }
}

// A braced part of a name is what a cluster goes by: all keys of a group are in one place. Escaped, it can't be forged.
const escaped = (group: string): string => group.replaceAll(/[%{}]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)

const longestKey = 256
const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The circuits of one group. */
class RedisCircuits implements Circuits {
  readonly transitions: Stream.Stream<Transition>
  private readonly store: Store
  private readonly group: string
  private readonly base: string
  private readonly policy: Policy
  private readonly maxKeys: number
  private readonly publish: (transition: Transition) => Effect.Effect<void>
  // What was heard of open circuits: when the next call may go through, and until when that holds unasked.
  private readonly shut = new Map<string, { readonly retryAt: number; readonly until: number }>()

  private readonly lastHeard: HeardCircuits

  constructor(
    store: Store,
    group: string,
    policy: Policy,
    { maxKeys, openFor }: Settings,
    transitions: Transitions.Transitions
  ) {
    this.store = store
    this.group = group
    this.base = `${store.means.prefix}{${escaped(group)}}:`
    this.policy = policy
    this.maxKeys = maxKeys
    this.lastHeard = new HeardCircuits(store.means.timers, { maxKeys, openFor })
    this.transitions = transitions.stream
    this.publish = transitions.publish
  }

  admit(key: string): Ticket | Refusal | Effect.Effect<Ticket | Refusal> {
    const { health, instead, timers } = this.store.means
    if (health.isDown || timers.closed) return instead
    const shut = this.shut.get(key)
    if (shut !== undefined) {
      const now = timers.now()
      if (now < shut.until) return { _tag: "Refusal", state: "open", retryAfter: shut.retryAt - now }
      this.shut.delete(key)
    }
    return Effect.callback((resume) => {
      const asked = new Asked(this.store.means, resume)
      asked.ask(this.ask(key))
      return Effect.sync(() => asked.leave())
    })
  }

  state(key: string): Effect.Effect<State> {
    const { instead } = this.store.means
    return this.standing(this.addressOf(key)).pipe(
      Effect.map(({ state }) => state),
      Effect.orElseSucceed(() => instead._tag === "Ticket" ? "closed" : "open")
    )
  }

  force(key: string, to: "open" | "closed" | "auto"): Effect.Effect<void, StoreUnavailable> {
    const { script, unavailable } = this.store.means
    return Effect.gen({ self: this }, function*() {
      const address = yield* this.addressOf(key)
      const moved = yield* this.asking(script.force(address, to), patience)
      this.shut.delete(address.circuit)
      this.say(address.circuit, moved, true)
    }).pipe(Effect.mapError((cause) => unavailable(key, cause)))
  }

  get open(): Effect.Effect<ReadonlyArray<Standing>> {
    const { script } = this.store.means
    return this.asking(script.open(this.base, mostListed), patience).pipe(
      Effect.flatMap((members) =>
        Effect.forEach(members, (member) => this.standing(Effect.succeed(this.address(member))), { concurrency: 16 })
      ),
      Effect.map((all) => all.filter(({ forced, state }) => forced || state !== "closed")),
      Effect.orElseSucceed(() => [])
    )
  }

  known(most: number): Known {
    return this.lastHeard.known(most)
  }

  /** A transition, made here or elsewhere. */
  heard(transition: Transition): Effect.Effect<void> {
    this.shut.delete(transition.circuit)
    this.lastHeard.moved(transition)
    return this.publish(transition)
  }

  /** What has become of a call. Sent behind its end, in order; if too many are under way Redis is as good as down. */
  settle(address: Address, ticket: string, isProbe: boolean, outcome: Outcome, slow: boolean): void {
    const { store } = this
    const { fork, health, maxPending, script } = store.means
    if (!isProbe && outcome === "ignored") return
    // A probe's is worth more than others, of which there may be any number: its place waits for it.
    if (!isProbe) {
      if (store.pending >= maxPending) health.failed(Cause.fail(`${store.pending} outcomes are under way`))
      if (health.isDown) return void health.dropped++
    }
    store.pending++
    fork(script.settle(address, ticket, isProbe, outcome, slow)).addObserver((exit) => {
      store.pending--
      if (exit._tag === "Failure") health.failed(exit.cause)
      else this.say(address.circuit, exit.value, false)
    })
  }

  private ask(key: string): Effect.Effect<Ticket | Refusal, Redis.RedisError> {
    return Effect.flatMap(
      this.addressOf(key),
      (address) =>
        Effect.flatMap(this.store.means.script.admit(address), (said): Effect.Effect<Ticket | Refusal> => {
          switch (said[0]) {
            case "closed":
            case "probe": {
              const ticket: Ticket = new RedisTicket(this, address, String(said[1]), said[0] === "probe")
              if (said[0] === "closed") this.lastHeard.closed(address.circuit)
              const moved: Moved = said[0] === "probe" && said[2] === 1 ? ["open", "half-open"] : null
              this.say(address.circuit, moved, false)
              return Effect.succeed(ticket)
            }
            default: {
              const [state, retryAfter] = said
              this.lastHeard.refused(address.circuit, state, retryAfter)
              if (state === "open") this.remember(key, retryAfter)
              return Effect.succeed({ _tag: "Refusal", state, retryAfter })
            }
          }
        })
    )
  }

  private remember(key: string, retryAfter: number): void {
    if (key.length > longestKey) return // its circuit has another name
    const now = this.store.means.timers.now()
    if (this.shut.size >= this.maxKeys) this.shut.clear()
    this.shut.set(key, { retryAt: now + retryAfter, until: now + Math.min(retryAfter, remembered) })
  }

  private say(circuit: string, moved: Moved, forced: boolean): void {
    if (moved === null) return
    this.shut.delete(circuit)
    const [from, to] = moved
    this.store.means.fork(Transitions.log({ group: this.group, circuit, from, to, forced }))
  }

  private standing(of: Effect.Effect<Address>): Effect.Effect<Standing, unknown> {
    const { script, timeout } = this.store.means
    return Effect.flatMap(
      of,
      (address) =>
        Effect.map(this.asking(script.standing(address), timeout), ([state, forced, retryAfter]) => ({
          circuit: address.circuit,
          state,
          forced: forced === 1,
          retryAfter
        }))
    )
  }

  private asking<A>(effect: Effect.Effect<A, Redis.RedisError>, timeout: Duration.Input): Effect.Effect<A, unknown> {
    const { health } = this.store.means
    return Effect.suspend((): Effect.Effect<A, unknown> =>
      health.isDown ? Effect.fail("Redis does not answer in time") : Effect.timeout(effect, timeout)
    )
  }

  // Keys are anything that a client may say: one that is too long goes by its digest.
  private addressOf(key: string): Effect.Effect<Address> {
    if (key.length <= longestKey) return Effect.succeed(this.address(`k:${key}`))
    return Effect.map(
      Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(key))),
      (digest) => this.address(`h:${key.slice(0, 64)}…${hex(digest)}`)
    )
  }

  private address(member: string): Address {
    return { base: this.base, member, circuit: member.slice(2), policy: this.policy }
  }
}

class RedisTicket implements Ticket {
  readonly _tag = "Ticket"
  private readonly circuits: RedisCircuits
  private readonly address: Address
  private readonly ticket: string
  private readonly isProbe: boolean

  constructor(circuits: RedisCircuits, address: Address, ticket: string, isProbe: boolean) {
    this.circuits = circuits
    this.address = address
    this.ticket = ticket
    this.isProbe = isProbe
  }

  settle(outcome: Outcome, slow: boolean): void {
    this.circuits.settle(this.address, this.ticket, this.isProbe, outcome, slow)
  }
}

/**
 * A call that waits to be let in, for so long and no longer. What was asked is never taken back: an answer that comes too late for
 * its call may be a probe's place, which has to be given back.
 */
class Asked implements Timed {
  index = -1
  order = 0
  readonly at: number
  private readonly means: Means
  private readonly answers: number
  private resume: ((said: Effect.Effect<Ticket | Refusal>) => void) | undefined

  constructor(means: Means, resume: (said: Effect.Effect<Ticket | Refusal>) => void) {
    this.means = means
    this.resume = resume
    this.answers = means.health.answers
    this.at = means.timers.now() + means.timeout
  }

  ask(effect: Effect.Effect<Ticket | Refusal, Redis.RedisError>): void {
    this.means.timers.add(this)
    this.means.fork(effect).addObserver((exit) => this.heard(exit))
  }

  leave(): void {
    this.means.timers.remove(this)
    this.resume = undefined
  }

  elapse(): void {
    // It may have been this process that was too busy to look: it looks first.
    this.means.fork(Effect.sleep(1)).addObserver(() => {
      if (this.resume === undefined) return
      this.means.health.overdue(this.answers)
      this.answer(this.instead)
    })
  }

  /** The layer is closed: nobody will tell it that its time is over. */
  cease(): void {
    this.answer(this.instead)
  }

  private heard(exit: Exit.Exit<Ticket | Refusal, unknown>): void {
    if (exit._tag === "Failure") {
      // A key that is none, say: a bug of this call, which tells nothing of Redis.
      if (Cause.hasDies(exit.cause)) return this.answer(Effect.failCause(exit.cause as Cause.Cause<never>))
      this.means.health.failed(exit.cause)
      return this.answer(this.instead)
    }
    if (this.resume !== undefined) {
      this.means.health.answered()
      return this.answer(Effect.succeed(exit.value))
    }
    if (exit.value._tag === "Ticket") exit.value.settle("ignored", false)
  }

  private get instead(): Effect.Effect<Ticket | Refusal> {
    return Effect.succeed(this.means.instead)
  }

  private answer(said: Effect.Effect<Ticket | Refusal>): void {
    const { resume } = this
    this.leave()
    resume?.(said)
  }
}
