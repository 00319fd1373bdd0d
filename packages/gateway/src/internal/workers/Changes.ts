import type { GroupChange } from "../../AdminApi.ts"
import type { Plan } from "../Plan.ts"
import type { GroupPlan } from "../RoutePlan.ts"
import type { Change } from "./protocol.ts"

type Told = typeof GroupChange.Type
type Circuit = NonNullable<Told["circuit"]>

interface Kept {
  pool: NonNullable<Told["pool"]>
  readonly circuits: Map<string, Circuit>
}

/** What operators have changed of the groups of the config that runs: a worker that takes the place of another one has to be told. */
export class Changes {
  private readonly kept = new Map<string, Kept>()

  add({ change: { circuit, pool }, group }: Change): void {
    const kept = this.kept.get(group) ?? { pool: {}, circuits: new Map() }
    this.kept.set(group, kept)
    kept.pool = { ...kept.pool, ...pool }
    // One that nobody forces is as it is from the beginning.
    if (circuit?.to === "auto") kept.circuits.delete(circuit.key)
    else if (circuit !== undefined) kept.circuits.set(circuit.key, circuit)
  }

  get all(): ReadonlyArray<Change> {
    return [...this.kept].flatMap(([group, { circuits, pool }]) => [
      { group, change: { pool } },
      ...[...circuits.values()].map((circuit) => ({ group, change: { circuit } }))
    ])
  }

  /** Another config has been changed to: what it says anew holds. */
  reloaded(before: Plan, after: Plan): void {
    for (const [group, kept] of this.kept) {
      const [old, next] = [before, after].map(({ groups }) => groups.find(({ name }) => name === group))
      if (old === undefined || next === undefined || made(old) !== made(next)) this.kept.delete(group)
      else if (size(old) !== size(next)) kept.pool = {}
    }
  }
}

const size = ({ options: { pool } }: GroupPlan): string => JSON.stringify([pool.maxConcurrent, pool.maxQueued])

/** What makes it another group: all but the size of its pool, as long as no other limit depends on that. */
const made = ({ options }: GroupPlan): string => {
  const { maxConcurrent, ...pool } = options.pool
  const ceiling = options.adaptiveLimit === undefined ? undefined : maxConcurrent
  return JSON.stringify({ ...options, pool: { ...pool, maxQueued: undefined, ceiling } })
}
