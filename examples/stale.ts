// An exchange rate that may be a little old, and what is said when there is none: `node examples/stale.ts`.
import { Command, CommandMetrics, Group } from "@blackgate/core"
import { Console, Effect, Metric } from "effect"

class Rates extends Group.Service<Rates>()("service.rates") {}
const RatesLive = Rates.layer({ pool: { maxConcurrent: 10 }, circuit: { consecutive: 3 } })

// The service that is asked: up at first, then down.
let isUp = true
const ask = (currency: string) =>
  Effect.suspend(() => {
    if (currency === "XXX") return Effect.fail("no such currency" as const)
    return isUp ? Effect.succeed(`1 ${currency} = 2`) : Effect.fail("down" as const)
  })

const rate = Command.make("rate", ask, {
  group: Rates,
  timeout: "1 second",
  stale: {
    key: (currency) => currency,
    maxAge: "100 millis",
    // An answer, although it is a failure: an old value is no answer to it.
    when: (failure) => failure !== "no such currency"
  },
  fallback: (failure) => Effect.succeed(`no rate (${typeof failure === "string" ? failure : failure._tag})`)
})

const attributes = { group: "service.rates", key: "rate" }
const count = (outcome: CommandMetrics.Outcome) =>
  Effect.map(
    Metric.value(Metric.withAttributes(CommandMetrics.calls, { ...attributes, outcome })),
    ({ count }) => count
  )

const program = Effect.gen(function*() {
  yield* Console.log("up:", yield* rate("EUR"))
  isUp = false
  yield* Console.log("down, the last good value:", yield* rate("EUR"))
  yield* Console.log("down, and never asked for before:", yield* rate("USD"))
  yield* Console.log("not to be had:", yield* rate("XXX"))
  yield* Console.log("the circuit has opened:", yield* rate("USD"))
  yield* Console.log("and still:", yield* rate("EUR"))
  yield* Effect.sleep("110 millis")
  yield* Console.log("too old by now:", yield* rate("EUR"))
  // Nothing of this hides that the dependency failed.
  for (const outcome of ["success", "failure", "short-circuited"] as const) {
    yield* Console.log(`${outcome}:`, yield* count(outcome))
  }
  const degraded = yield* Metric.value(Metric.withAttributes(CommandMetrics.degraded, attributes))
  yield* Console.log("degraded:", degraded.count)
})

await Effect.runPromise(Effect.provide(program, RatesLive))
