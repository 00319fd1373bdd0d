// Retries with jitter, Retry-After, and a budget that a failing dependency soon exhausts. `node examples/retry.ts`
import { Command, Group, RetryBudget } from "@blackgate/core"
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Data, type Duration, Effect } from "effect"

// At most a retry for each ten calls, and five a second besides, in any two seconds.
class Mail extends Group.Service<Mail>()("mail") {}
const MailLive = Mail.layer({
  pool: { maxConcurrent: 100 },
  retryBudget: { ratio: 0.1, perSecond: 5, window: "2 seconds" }
})

class Busy extends Data.TaggedError("Busy")<{ readonly retryAfter?: Duration.Input }> {}
class Refused extends Data.TaggedError("Refused")<{ readonly address: string }> {}

// A mail service that answers each address in its own way.
const attempts = new Map<string, number>()
const deliver = Effect.fn("deliver")(function*(address: string) {
  const attempt = (attempts.get(address) ?? 0) + 1
  attempts.set(address, attempt)
  yield* Effect.sleep("10 millis")
  if (address === "flaky" && attempt < 3) return yield* new Busy({})
  if (address === "polite" && attempt < 2) return yield* new Busy({ retryAfter: "300 millis" })
  if (address === "slow" && attempt < 2) return yield* Effect.never
  if (address === "nobody") return yield* new Refused({ address })
  if (address === "down") return yield* new Busy({})
  return `delivered at attempt ${attempt}`
})

const send = Command.make("send", deliver, {
  group: Mail,
  timeout: "1 second", // bounds all attempts and the delays between them
  attemptTimeout: "100 millis", // bounds one, and is retried
  retry: {
    times: 4,
    base: "50 millis",
    while: (failure) => failure._tag !== "Refused" // no use in asking again
  },
  fallback: (failure) => Effect.succeed(`given up: ${failure._tag}`)
})

const report = Effect.fnUntraced(function*(address: string) {
  const from = yield* Clock.currentTimeMillis
  const answer = yield* send(address)
  const millis = (yield* Clock.currentTimeMillis) - from
  yield* Console.log(`${address}: ${answer}, after ${millis} ms and ${attempts.get(address)} attempts`)
})

const program = Effect.gen(function*() {
  yield* report("anybody")
  yield* report("flaky") // 3 attempts
  yield* report("polite") // not before 300 ms
  yield* report("slow") // the first attempt times out
  yield* report("nobody") // 1 attempt
  // Many calls to something that is down share what is left of the budget.
  yield* Console.log(`retries left: ${yield* RetryBudget.remaining(Mail)}`)
  const calls = 50
  yield* Effect.replicateEffect(send("down"), calls, { concurrency: "unbounded" })
  yield* Console.log(`down: ${calls} calls, ${attempts.get("down")} attempts`)
  yield* Console.log(`retries left: ${yield* RetryBudget.remaining(Mail)}`)
})

NodeRuntime.runMain(Effect.provide(program, MailLive))
