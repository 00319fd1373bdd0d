// A quota of each tenant, and what a caller does who is over it: `node examples/rate-limit.ts`.
import { Command, Group } from "@blackgate/core"
import { Console, Duration, Effect } from "effect"

// The mail service takes three mails in 300 milliseconds from each tenant: three at once, then one every 100.
class Mail extends Group.Service<Mail>()("service.mail") {}
const MailLive = Mail.layer({
  pool: { maxConcurrent: 10 },
  rateLimit: { limit: 3, window: "300 millis" }
})

const deliver = (tenant: string, subject: string) => Effect.succeed(`${subject} of ${tenant}: sent`)

const send = Command.make("send", deliver, { group: Mail, rateLimit: { key: (tenant) => tenant } })

// A newsletter counts for as much as a tenant has at once.
const newsletter = Command.make("newsletter", deliver, {
  group: Mail,
  rateLimit: { key: (tenant) => tenant, tokens: 3 },
  fallback: (failure) =>
    failure._tag === "RateLimited"
      ? Effect.succeed(`not now, in ${Duration.format(failure.retryAfter)}`)
      : Effect.fail(failure)
})

// One that waits for its turn, as often as it takes.
const patient = (tenant: string, subject: string): ReturnType<typeof send> =>
  Effect.catchTag(
    send(tenant, subject),
    "RateLimited",
    ({ retryAfter }) => Effect.delay(Effect.suspend(() => patient(tenant, subject)), retryAfter)
  )

const program = Effect.gen(function*() {
  for (const subject of ["one", "two", "three", "four"]) {
    yield* send("acme", subject).pipe(
      Effect.matchEffect({ onSuccess: Console.log, onFailure: ({ message }) => Console.log(`${subject}: ${message}`) })
    )
  }
  yield* Console.log(yield* send("another tenant", "one"))
  yield* Console.log(yield* patient("acme", "four, a little later"))
  yield* Console.log("newsletter:", yield* newsletter("acme", "newsletter"))
})

await Effect.runPromise(Effect.provide(program, MailLive))
