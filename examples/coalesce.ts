// A page that everybody opens at once, and one request for it: `node examples/coalesce.ts`.
import { Command, Group, Pool } from "@blackgate/core"
import { Console, Effect, Fiber } from "effect"

class Catalog extends Group.Service<Catalog>()("service.catalog") {}
const CatalogLive = Catalog.layer({ pool: { maxConcurrent: 2 } })

let requests = 0
const product = Command.make(
  "product",
  (id: number) =>
    Effect.gen(function*() {
      requests++
      yield* Effect.sleep("50 millis")
      return { id, name: `product ${id}` }
    }).pipe(Effect.onInterrupt(() => Console.log(`the request for product ${id} was given up`))),
  { group: Catalog, timeout: "1 second", coalesce: { key: (id) => `${id}` } }
)

const program = Effect.gen(function*() {
  const catalog = yield* Catalog
  // A hundred callers on a pool of two.
  const all = yield* Effect.forEach(Array.from({ length: 100 }), () => product(1), { concurrency: "unbounded" })
  yield* Console.log(`${all.length} callers, ${requests} request, ${new Set(all).size} answer`)
  yield* Console.log(`permits given: ${(yield* Pool.statistics(catalog.pool)).admitted}`)

  // Two callers. The first one leaves, and the run goes on for the other.
  const first = yield* Command.queue(product(2))
  const second = yield* Command.queue(product(2))
  yield* Fiber.interrupt(first)
  yield* Console.log(`still answered: ${(yield* Fiber.join(second)).name}`)

  // Both leave: nobody wants it any more.
  const both = yield* Effect.forEach([3, 3], (id) => Command.queue(product(id)))
  yield* Effect.sleep("10 millis")
  yield* Fiber.interruptAll(both)
  yield* Console.log(`${requests} requests in all`)
})

await Effect.runPromise(Effect.provide(program, CatalogLive))
