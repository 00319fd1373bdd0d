// More arrives at once than there is room for: who is shed, and who is served: `node examples/overload.ts`.
import { Command, Criticality, Group, Pool } from "@blackgate/core"
import { Console, Effect, Fiber } from "effect"

// The search takes one request at a time, and lets six wait.
class Search extends Group.Service<Search>()("service.search") {}
const SearchLive = Search.layer({ pool: { maxConcurrent: 1, maxQueued: 6 } })

const search = Command.make("search", (query: string) => Effect.as(Effect.sleep(10), `${query}: found`), {
  group: Search,
  fallback: (failure, query) =>
    Effect.succeed(`${query}: ${failure._tag === "PoolFull" && failure.shed ? "shed" : "turned away"}`)
})

// What a request is for is known at the edge, and said once: here by its kind.
const levels = {
  checkout: "critical-plus",
  page: "critical",
  batch: "sheddable-plus",
  prefetch: "sheddable"
} as const

const request = (kind: keyof typeof levels, n: number) =>
  search(`${kind} ${n}`).pipe(Criticality.provide(levels[kind]), Command.queue)

const program = Effect.gen(function*() {
  // Whoever comes first fills the line: it is the prefetching, as ever.
  const kinds = ["prefetch", "batch", "page", "checkout"] as const
  const fibers: Array<Fiber.Fiber<string>> = []
  for (const kind of kinds) {
    for (const n of [1, 2, 3]) fibers.push(yield* request(kind, n))
  }
  for (const fiber of fibers) yield* Console.log(yield* Fiber.join(fiber))
  const { pool } = yield* Search
  const { admitted, shed } = yield* Pool.statistics(pool)
  yield* Console.log(`${admitted} served, ${shed} shed`)
})

await Effect.runPromise(Effect.provide(program, SearchLive))
