import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InvalidOptions } from "../InvalidOptions.ts"
import type { PoolState } from "./PoolState.ts"
import type { SharedMemory } from "./SharedMemory.ts"
import { SharedPermits } from "./SharedPermits.ts"
import { SharedRegion } from "./SharedRegion.ts"

/** A thread, as the memory knows it. */
export class SharedMember {
  private readonly memory: SharedMemory
  private readonly index: number
  private readonly permits = new Map<number, SharedPermits>()

  private constructor(memory: SharedMemory, index: number) {
    this.memory = memory
    this.index = index
  }

  /** Two layers of one member are one. */
  static of(memory: SharedMemory, index: number): SharedMember {
    let members = known.get(memory)
    if (members === undefined) known.set(memory, members = new Map())
    let member = members.get(index)
    if (member === undefined) members.set(index, member = new SharedMember(memory, index))
    return member
  }

  /** A pool has one limit with those of its name, for as long as the scope is open, or its calls go on. */
  join(pool: PoolState): Effect.Effect<void, InvalidOptions, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.suspend(() => {
        const permits = this.permitsOf(pool.name, pool.maxConcurrent)
        if (permits === undefined) {
          const { maxGroups } = this.memory
          const problem =
            `maxGroups: there are ${maxGroups} groups with limits that threads share, and no room for another one`
          return Effect.fail(new InvalidOptions({ subject: pool.name, problem }))
        }
        pool.shared = permits
        permits.add(pool)
        return Effect.succeed(permits)
      }),
      (permits) => Effect.sync(() => permits.close(pool))
    )
  }

  private permitsOf(name: string, limit: number): SharedPermits | undefined {
    const at = this.memory.join(name, this.index, limit)
    if (at === undefined) return undefined
    let permits = this.permits.get(at)
    if (permits === undefined) {
      const region = new SharedRegion(this.memory, at, this.index)
      this.permits.set(at, permits = new SharedPermits(region, () => this.permits.delete(at)))
    }
    return permits
  }
}

const known = new WeakMap<SharedMemory, Map<number, SharedMember>>()

/** The thread that groups are built in, where threads share limits. */
export const CurrentMember = Context.Reference<SharedMember | undefined>("@blackgate/core/SharedMember", {
  defaultValue: () => undefined
})
