// A process of its own: makes calls as its arguments say, and says how each ended. `URL PREFIX how...`
import { Circuit, CircuitStore, Command, Group } from "@blackgate/core"
import { NodeRedis } from "@effect/platform-node"
import { Console, Effect, Layer, Logger } from "effect"

const [url, prefix, ...hows] = process.argv.slice(2)

class Billing extends Group.Service<Billing>()("service.billing") {}

const BillingLive = Billing.layer({ pool: { maxConcurrent: 10 }, circuit: { consecutive: 5, openFor: "1 minute" } })
  .pipe(
    Layer.provide(CircuitStore.layerRedis({ prefix: prefix!, timeout: "5 seconds" })),
    Layer.provide(NodeRedis.layer({ url: url! })),
    Layer.provide(Logger.layer([]))
  )

const pay = Command.make("pay", (how: string) => how === "ok" ? Effect.succeed("ok") : Effect.fail("no" as const), {
  group: Billing,
  fallback: (failure) => Effect.succeed(typeof failure === "string" ? failure : failure._tag)
})

const program = Effect.gen(function*() {
  const endings = yield* Effect.forEach(hows, (how) => pay(how))
  yield* Console.log(JSON.stringify({ endings, state: yield* Circuit.state(yield* Billing, "pay") }))
})

await Effect.runPromise(Effect.provide(program, BillingLive))
