// A limit that finds its own size, as an upstream loses most of its capacity and is back: `node examples/adaptive-limit.ts`.
import { AdaptiveLimit, Command, Group, Pool } from "@blackgate/core"
import { Console, Duration, Effect, Schedule, Semaphore } from "effect"

// An upstream that answers in 20 milliseconds, 16 calls at once; then 4; then 16 again. What is more has to wait, there.
const upstream = Semaphore.makeUnsafe(16)
const request = upstream.withPermits(1)(Effect.sleep("20 millis"))

class Search extends Group.Service<Search>()("service.search") {}
const SearchLive = Search.layer({
  pool: { maxConcurrent: 200, maxQueued: 20 }, // the ceiling
  adaptiveLimit: { initial: 10, window: "50 millis", baseline: { calls: 20 } }
})

const search = Command.make("search", () => request, { group: Search, timeout: "1 second" })

// More than the upstream can do, all of the time: those that do not fit are turned away at once.
const flood = Command.queue(search()).pipe(
  Effect.replicateEffect(6),
  Effect.repeat(Schedule.spaced("5 millis"))
)

const watch = (title: string) =>
  Effect.gen(function*() {
    yield* Effect.sleep("2 seconds")
    const group = yield* Search
    const { baseline, latency, limit } = (yield* AdaptiveLimit.state(group))!
    const { active, queued } = yield* Pool.statistics(group.pool)
    const millis = (time: Duration.Duration | undefined) => Math.round(Duration.toMillis(time ?? 0))
    yield* Console.log(
      `${title}: limit ${limit}, active ${active}, queued ${queued}; a call takes ${millis(latency)} ms, at the least ${
        millis(baseline)
      } ms`
    )
  })

const program = Effect.gen(function*() {
  yield* Effect.forkScoped(flood)
  yield* watch("16 at once")
  yield* upstream.resize(4)
  yield* watch("4 at once")
  yield* upstream.resize(16)
  yield* watch("16 again")
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(SearchLive)))
