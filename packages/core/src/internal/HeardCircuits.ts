import type { Known, Standing, State, Transition } from "../CircuitStore.ts"

interface Heard {
  readonly state: State
  readonly forced: boolean
  readonly retryAt: number
}

/** Of circuits that are kept elsewhere, those that are not closed, as far as this process has heard. */
export class HeardCircuits {
  private readonly clock: { now(): number }
  private readonly maxKeys: number
  private readonly openFor: number
  // The latest last.
  private readonly circuits = new Map<string, Heard>()

  constructor(clock: { now(): number }, settings: { readonly maxKeys: number; readonly openFor: number }) {
    this.clock = clock
    this.maxKeys = settings.maxKeys
    this.openFor = settings.openFor
  }

  moved({ circuit, forced, to }: Transition): void {
    if (to === "closed") this.closed(circuit)
    else this.set(circuit, { state: to, forced, retryAt: this.clock.now() + (to === "open" ? this.openFor : 0) })
  }

  refused(circuit: string, state: "open" | "half-open", retryAfter: number): void {
    const forced = state === "open" && this.circuits.get(circuit)?.forced === true
    this.set(circuit, { state, forced, retryAt: this.clock.now() + retryAfter })
  }

  closed(circuit: string): void {
    this.circuits.delete(circuit)
  }

  known(most: number): Known {
    const now = this.clock.now()
    const circuits = Array.from(this.circuits).toReversed().slice(0, most).map(
      ([circuit, { forced, retryAt, state }]): Standing => ({
        circuit,
        state,
        forced,
        // An operator's has no time to be over.
        retryAfter: forced ? this.openFor : Math.max(0, retryAt - now)
      })
    )
    return { circuits, omitted: this.circuits.size - circuits.length, shared: true }
  }

  private set(circuit: string, heard: Heard): void {
    this.circuits.delete(circuit)
    if (this.circuits.size >= this.maxKeys) {
      for (const oldest of this.circuits.keys()) {
        this.circuits.delete(oldest)
        break
      }
    }
    this.circuits.set(circuit, heard)
  }
}
