// A mailer that is busy, hangs and recovers, tested as a user would: no real time passes. `npx -y pnpm@12.21.0 test examples`
import { Command, Group, TestDependency, TestOutcomes } from "@blackgate/core"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"

// The program: a service, a group, and a command that uses both.
class Mailer extends Context.Service<Mailer, {
  readonly send: (to: string) => Effect.Effect<string, "busy" | "no such address">
}>()("Mailer") {}

class Mail extends Group.Service<Mail>()("service.mail") {}
const MailLive = Mail.layer({
  pool: { maxConcurrent: 2, maxQueued: 10 },
  circuit: { consecutive: 3, openFor: "10 seconds" }
})

const send = Command.make("send", (to: string) => Effect.flatMap(Mailer, (mailer) => mailer.send(to)), {
  group: Mail,
  attemptTimeout: "1 second",
  retry: { base: "100 millis", while: (failure) => failure === "busy" },
  fallback: (_failure, to) => Effect.succeed(`will write to ${to} later`)
})

// The tests: in place of the mailer one that does as it is told.
const { byArgs, fail, hang, sequence, succeed, times } = TestDependency
const mailer = TestDependency.make<string, "busy" | "no such address", [to: string]>(succeed("sent"))

it.effect("a mailer that is busy is asked again, after twice as long", () =>
  Effect.gen(function*() {
    const fake = yield* mailer
    yield* fake.become(sequence(times(2, fail("busy")), succeed("sent")))
    const fiber = yield* Command.queue(Effect.provideService(send("ada"), Mailer, { send: fake.call }))
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(fiber), "sent")
    assert.deepStrictEqual(fake.startedAt, [0, 100, 300])
  }).pipe(
    // The whole of each delay, instead of a share of it by chance.
    Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 1, nextIntUnsafe: () => 0 }),
    Effect.provide(MailLive)
  ))

it.effect("one that hangs opens the circuit, and is asked again when it has recovered", () =>
  Effect.gen(function*() {
    const fake = yield* mailer
    yield* fake.become(hang)
    const mail = Effect.provideService(send("ada"), Mailer, { send: fake.call })
    const five = yield* Command.queue(Effect.replicateEffect(mail, 5, { concurrency: "unbounded" }))
    // Two at once, for a second each; the third timeout opens the circuit.
    yield* TestClock.adjust("3 seconds")
    assert.deepStrictEqual(yield* Fiber.join(five), Array.from({ length: 5 }, () => "will write to ada later"))
    assert.deepStrictEqual([fake.maxInFlight, fake.startedAt], [2, [0, 0, 1000, 1000, 2000]])

    yield* fake.become(succeed("sent"))
    assert.strictEqual(yield* mail, "will write to ada later")
    assert.strictEqual(fake.calls.length, 5) // it was left alone
    yield* TestClock.adjust("10 seconds")
    assert.strictEqual(yield* mail, "sent")

    yield* TestOutcomes.expect(Mail, "send", { timeout: 5, "short-circuited": 1, success: 1, degraded: 6 })
    yield* TestOutcomes.expectIdle(Mail)
  }).pipe(Effect.provide(MailLive)))

it.effect("an address that there is not is not asked for twice; others go on", () =>
  Effect.gen(function*() {
    const fake = yield* mailer
    yield* fake.become(byArgs((to: string) => to === "nobody" ? fail("no such address") : succeed("sent")))
    const both = Effect.all([send("nobody"), send("ada")]).pipe(Effect.provideService(Mailer, { send: fake.call }))
    assert.deepStrictEqual(yield* both, ["will write to nobody later", "sent"])
    assert.deepStrictEqual(fake.calls.map(({ args: [to], state }) => `${to}: ${state}`), [
      "nobody: no such address",
      "ada: Success"
    ])
  }).pipe(Effect.provide(MailLive)))

it.effect("a test can answer by hand, to see what is in between", () =>
  Effect.gen(function*() {
    const fake = yield* mailer
    yield* fake.become(hang)
    const fiber = yield* Command.queue(Effect.provideService(send("ada"), Mailer, { send: fake.call }))
    const call = yield* fake.next
    yield* TestClock.adjust(999)
    assert.strictEqual(call.state, "running")
    yield* call.succeed("sent in time")
    assert.strictEqual(yield* Fiber.join(fiber), "sent in time")
  }).pipe(Effect.provide(MailLive)))
