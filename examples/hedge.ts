// A dependency of which one call in twenty hangs for half a second, with and without a hedge. `node examples/hedge.ts`
import { Command, CommandMetrics, Group, Hedge } from "@blackgate/core"
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Metric, Random } from "effect"

class Search extends Group.Service<Search>()("search") {}
const SearchLive = Search.layer({ pool: { maxConcurrent: 100 }, hedgeBudget: { ratio: 0.1, perSecond: 5 } })

// Replicas that are fast, but for one call in twenty.
const ask = Effect.fn("ask")(function*(query: string) {
  const slow = (yield* Random.next) < 0.05
  yield* Effect.sleep(slow ? 500 : 10 + 10 * (yield* Random.next))
  return `results for ${query}`
})

const plain = Command.make("plain", ask, { group: Search, timeout: "1 second" })
const hedged = Command.make("hedged", ask, { group: Search, timeout: "1 second", hedge: { after: "40 millis" } })
// What 90 % of the latest calls needed, as soon as 20 are known.
const adaptive = Command.make("adaptive", ask, { group: Search, timeout: "1 second", hedge: { after: "p90" } })

const latencies = Effect.fnUntraced(function*(search: typeof plain, calls: number) {
  const timed = Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    yield* search("effect")
    return (yield* Clock.currentTimeMillis) - from
  })
  const sorted = (yield* Effect.replicateEffect(timed, calls, { concurrency: 20 })).toSorted((a, b) => a - b)
  const quantile = (share: number) => `${sorted[Math.min(calls - 1, Math.floor(calls * share))]} ms`
  const { count } = yield* Metric.value(
    Metric.withAttributes(CommandMetrics.hedges, { group: "search", key: search.key })
  )
  yield* Console.log(
    `${search.key}: p50 ${quantile(0.5)}, p90 ${quantile(0.9)}, p99 ${quantile(0.99)}; ${count} hedges`
  )
})

const program = Effect.gen(function*() {
  yield* latencies(plain, 600)
  yield* latencies(hedged, 600)
  yield* Effect.replicateEffect(adaptive("effect"), 50, { concurrency: 10, discard: true }) // so that latencies are known
  yield* latencies(adaptive, 600)
  yield* Console.log(`hedges left: ${yield* Hedge.remaining(Search)}`)
})

NodeRuntime.runMain(Effect.provide(program, SearchLive))
