import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import type * as Stream from "effect/Stream"
import type {
  Circuits,
  Known,
  Outcome,
  Refusal,
  Settings,
  Standing,
  State,
  StoreUnavailable,
  Ticket,
  Transition
} from "../CircuitStore.ts"
import type { Address, Moved, Policy } from "./circuitScripts.ts"
import { HeardCircuits } from "./HeardCircuits.ts"
import { RedisAdmission } from "./RedisAdmission.ts"
import type { Means } from "./redisMeans.ts"
import * as Transitions from "./transitions.ts"

/** How long an open circuit is remembered without asking: the message that says it has closed may be lost. In milliseconds. */
export const remembered = 1000
/** How long what an operator asks may take. */
const patience = Duration.seconds(5)
/** How many circuits are listed. */
const mostListed = 1000

/** The store that they are in. */
interface Store {
  readonly means: Means
  /** Outcomes that are under way. */
  pending: number
}

// A braced part of a name is what a cluster goes by: all keys of a group are in one place. Escaped, it can't be forged.
const escaped = (group: string): string => group.replaceAll(/[%{}]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)

const longestKey = 256
const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The circuits of one group. */
export class RedisCircuits implements Circuits {
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
      const asked = new RedisAdmission(this.store.means, resume)
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
