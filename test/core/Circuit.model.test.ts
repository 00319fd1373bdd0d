import { CircuitStore } from "@blackgate/core"
import { assert, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { LastCalls, LastMillis } from "../../packages/core/src/internal/Window.ts"

type Step =
  | { readonly step: "admit"; readonly key: string }
  /** One of the calls that are under way ends. */
  | { readonly step: "settle"; readonly which: number; readonly outcome: CircuitStore.Outcome; readonly slow: boolean }
  | { readonly step: "force"; readonly key: string; readonly to: "open" | "closed" | "auto" }
  | { readonly step: "advance"; readonly millis: number }

type Said = "ticket" | `${"open" | "half-open"} for ${number}`

/** A call that was let in. */
interface Admitted {
  readonly key: string
  /** How many transitions, and touches of an operator, its circuit had seen. */
  readonly generation: number
  readonly at: number
  readonly probe: boolean
  /** Whether a probe's place is still its own. */
  counts: boolean
}

interface Modelled {
  state: CircuitStore.State
  forced: boolean
  generation: number
  /** Every outcome of this generation, from the first on. */
  outcomes: Array<{ readonly at: number; readonly failed: boolean; readonly slow: boolean }>
  since: number
  probes: Array<Admitted>
  proven: number
}

/** Circuits, as simple as can be: nothing is forgotten, and everything is counted anew each time. */
class Model {
  now = 0
  readonly transitions: Array<string> = []
  private readonly settings: CircuitStore.Settings
  private readonly circuits = new Map<string, Modelled>()

  constructor(settings: CircuitStore.Settings) {
    this.settings = settings
  }

  of(key: string): Modelled {
    const known = this.circuits.get(key)
    if (known !== undefined) return known
    const circuit: Modelled = {
      state: "closed",
      forced: false,
      generation: 0,
      outcomes: [],
      since: 0,
      probes: [],
      proven: 0
    }
    this.circuits.set(key, circuit)
    return circuit
  }

  get standings() {
    return Array.from(this.circuits).filter(([, { forced, state }]) => forced || state !== "closed")
      .map(([circuit, { forced, state }]) => ({ circuit, state, forced })).toSorted((a, b) =>
        a.circuit < b.circuit ? -1 : 1
      )
  }

  admit(key: string): [Said, Admitted | undefined] {
    const { now, settings } = this
    const circuit = this.of(key)
    const { openFor, probeLease, probes } = settings
    const admitted = (probe: boolean): Admitted => ({
      key,
      generation: circuit.generation,
      at: now,
      probe,
      counts: true
    })
    if (circuit.state === "closed") return ["ticket", admitted(false)]
    if (circuit.state === "open") {
      if (circuit.forced) return [`open for ${openFor}`, undefined]
      if (now < circuit.since + openFor) return [`open for ${circuit.since + openFor - now}`, undefined]
      this.become(key, "half-open")
    }
    const taken = () => circuit.probes.filter(({ counts }) => counts)
    if (taken().length + circuit.proven >= probes) {
      for (const probe of taken()) if (now - probe.at >= probeLease) probe.counts = false
    }
    if (taken().length + circuit.proven >= probes) {
      const first = Math.min(...taken().map(({ at }) => at))
      return [`half-open for ${Math.min(first + probeLease - now, openFor)}`, undefined]
    }
    const probe = admitted(true)
    circuit.probes.push(probe)
    return ["ticket", probe]
  }

  settle(call: Admitted, outcome: CircuitStore.Outcome, slow: boolean) {
    const circuit = this.of(call.key)
    if (circuit.generation !== call.generation) return
    const failed = outcome === "failure"
    if (call.probe) {
      if (!call.counts) return
      call.counts = false
      if (outcome === "ignored") return
      if (failed || (slow && this.settings.slowCallRate !== Infinity)) this.become(call.key, "open")
      else if (++circuit.proven === this.settings.probes) this.become(call.key, "closed")
      return
    }
    if (outcome === "ignored" || circuit.forced) return
    circuit.outcomes.push({ at: this.now, failed, slow })
    if (this.trips(circuit)) this.become(call.key, "open")
  }

  force(key: string, to: "open" | "closed" | "auto") {
    if (to === "auto" && !this.circuits.has(key)) return
    this.of(key).forced = to !== "auto"
    this.become(key, to === "open" ? "open" : "closed")
  }

  private trips({ outcomes }: Modelled): boolean {
    const { consecutive, failureRate, minimumCalls, slowCallRate, window } = this.settings
    const slice = (at: number) => Math.floor(at / ((window as { readonly millis: number }).millis / 10))
    const seen = "calls" in window
      ? outcomes.slice(-window.calls)
      : outcomes.filter(({ at }) => slice(this.now) - slice(at) < 10)
    const share = (which: "failed" | "slow") => seen.filter((outcome) => outcome[which]).length / seen.length
    if (outcomes.length >= consecutive && outcomes.slice(-consecutive).every(({ failed }) => failed)) return true
    return seen.length >= minimumCalls && (share("failed") >= failureRate || share("slow") >= slowCallRate)
  }

  private become(key: string, state: CircuitStore.State) {
    const circuit = this.of(key)
    if (circuit.state !== state) this.transitions.push(`${key}: ${circuit.state} -> ${state}`)
    Object.assign(circuit, {
      state,
      generation: circuit.generation + 1,
      outcomes: [],
      since: this.now,
      probes: [],
      proven: 0
    })
  }
}

const agrees = (settings: CircuitStore.Settings, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const model = new Model(settings)
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => lines.push([message].flat().map(String).join(" ")))
    const store = yield* CircuitStore.CircuitStore
    const circuits = yield* Effect.provide(store.circuits("g", settings), Logger.layer([logger]))
    const under: Array<{ readonly ticket: CircuitStore.Ticket; readonly modelled: Admitted }> = []

    for (const step of steps) {
      switch (step.step) {
        case "admit": {
          const said = circuits.admit(step.key)
          if (Effect.isEffect(said)) return assert.fail("memory answers at once")
          const [expected, modelled] = model.admit(step.key)
          assert.strictEqual(said._tag === "Ticket" ? "ticket" : `${said.state} for ${said.retryAfter}`, expected)
          if (said._tag === "Ticket") under.push({ ticket: said, modelled: modelled! })
          break
        }
        case "settle": {
          const [call] = under.splice(step.which % Math.max(1, under.length), 1)
          if (call === undefined) break
          call.ticket.settle(step.outcome, step.slow)
          model.settle(call.modelled, step.outcome, step.slow)
          break
        }
        case "force": {
          yield* circuits.force(step.key, step.to)
          model.force(step.key, step.to)
          break
        }
        case "advance": {
          model.now += step.millis
          yield* TestClock.adjust(step.millis)
          break
        }
      }
      const standings = (yield* circuits.open).map(({ circuit, forced, state }) => ({ circuit, state, forced }))
      assert.deepStrictEqual(standings.toSorted((a, b) => a.circuit < b.circuit ? -1 : 1), model.standings)
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/^circuit (.*) of g: (.*?)(?: \(forced\))?$/, "$1: $2")),
        model.transitions
      )
    }
  })

const key = fc.constantFrom("a", "b")
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ step: fc.constant("admit" as const), key }) },
  {
    weight: 6,
    arbitrary: fc.record({
      step: fc.constant("settle" as const),
      which: fc.nat(20),
      outcome: fc.constantFrom<CircuitStore.Outcome>("success", "failure", "failure", "ignored"),
      slow: fc.boolean()
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ step: fc.constant("advance" as const), millis: fc.integer({ min: 1, max: 60 }) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant("force" as const),
      key,
      to: fc.constantFrom("open", "closed", "auto", "auto")
    })
  }
)

const rate = fc.constantFrom(Infinity, 0.1, 0.25, 0.5, 1)
const settings: fc.Arbitrary<CircuitStore.Settings> = fc.record({
  consecutive: fc.constantFrom(Infinity, 1, 3),
  failureRate: rate,
  slowCallRate: rate,
  window: fc.oneof(
    fc.record({ calls: fc.constantFrom(4, 15, 16, 20) }),
    fc.record({ millis: fc.constantFrom(20, 100, 1000) })
  ),
  minimumCalls: fc.constantFrom(1, 3, 4),
  openFor: fc.constantFrom(10, 50),
  probes: fc.constantFrom(1, 2, 3),
  probeLease: fc.constantFrom(20, 100),
  maxKeys: fc.constant(10)
})

it(
  "15-17, 19. circuits agree with their model after every step, whatever is asked of them, and whatever comes late",
  () =>
    fc.assert(
      fc.asyncProperty(
        settings,
        fc.array(step, { minLength: 10, maxLength: 120, size: "max" }),
        (settings, steps) =>
          Effect.runPromise(agrees(settings, steps).pipe(Effect.scoped, Effect.provide(TestClock.layer())))
      ),
      { numRuns: 400 }
    ),
  60_000
)

const outcome = fc.record({
  failed: fc.boolean(),
  slow: fc.boolean(),
  pause: fc.oneof(fc.constant(0), fc.integer({ max: 300, min: 1 }))
})

it("17. a window counts what a list of all outcomes would, after every one", () =>
  fc.assert(
    fc.property(
      fc.constantFrom(1, 4, 14, 15, 16, 40),
      fc.constantFrom(10, 25, 100, 1000),
      fc.array(outcome, { maxLength: 200, size: "max" }),
      (size, millis, outcomes) => {
        const [calls, time] = [new LastCalls(size), new LastMillis(millis)]
        const all: Array<{ readonly failed: boolean; readonly slow: boolean; readonly slice: number }> = []
        let now = 0
        for (const { failed, pause, slow } of outcomes) {
          now += pause
          all.push({ failed, slow, slice: Math.floor(now / (millis / 10)) })
          calls.record(failed, slow)
          time.record(failed, slow, now)
          const counts = (seen: typeof all) => [
            seen.length,
            seen.filter(({ failed }) => failed).length,
            seen.filter(({ slow }) => slow).length
          ]
          assert.deepStrictEqual([calls.calls, calls.failures, calls.slow], counts(all.slice(-size)))
          const { slice } = all.at(-1)!
          assert.deepStrictEqual(
            [time.calls, time.failures, time.slow],
            counts(all.filter((one) => slice - one.slice < 10))
          )
        }
      }
    ),
    { numRuns: 500 }
  ), 60_000)
