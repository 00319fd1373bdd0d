import { Circuit, CircuitStore, Command, Group, GroupSnapshot, Pool } from "@blackgate/core"
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Duration, Effect, Fiber, Layer, Logger, Metric, type Scope, Stream } from "effect"
import { Redis } from "effect/persistence"
import { inject } from "vitest"
import { ending, state } from "../core/calls.ts"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { RedisServer, SlowWay } from "../harness/redis.ts"
import { run as runProcess } from "../harness/run.ts"

const url = inject("redisUrl")
const onRedis = describe.skipIf(url === undefined)

let prefixes = 0
const newPrefix = () => `test ${process.pid} ${++prefixes}:`

class G extends Group.Service<G>()("service.billing") {}

interface Process {
  readonly group: Group.Group
  readonly redis: Redis.Redis["Service"]
  readonly lines: ReadonlyArray<string>
}

/** What a process of its own would have: a connection, a store and a group. */
const start = (
  circuit: Circuit.Options,
  options: CircuitStore.RedisOptions,
  at = url!
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.layer([Logger.make<unknown, void>(({ message }) => lines.push(String([message].flat()[0])))])
    const layer = G.layer({ pool: { maxConcurrent: 1000 }, circuit }).pipe(
      Layer.provide(CircuitStore.layerRedis({ timeout: "5 seconds", ...options })),
      Layer.provideMerge(NodeRedis.layer({ url: at })),
      Layer.provide([logger, Layer.succeed(Metric.MetricRegistry, new Map())])
    )
    const context = yield* Effect.orDie(Layer.build(layer))
    return { group: Context.get(context, G), redis: Context.get(context, Redis.Redis), lines }
  })

const two = Effect.fnUntraced(function*(circuit: Circuit.Options, options: CircuitStore.RedisOptions = {}) {
  const prefix = newPrefix()
  const [a, b] = yield* Effect.all([start(circuit, { prefix, ...options }), start(circuit, { prefix, ...options })])
  const keys = Effect.map(
    Effect.orDie(a.redis.send<Array<string>>("KEYS", `${prefix}*`)),
    (keys) => keys.map((key) => key.slice(prefix.length)).toSorted()
  )
  return { a, b, prefix, keys }
})

type Ending = "ok" | "fail"
const calls = ({ group }: Process, ...hows: ReadonlyArray<Ending>) =>
  Effect.forEach(
    hows,
    (how) =>
      (how === "ok" ? Effect.void : Effect.fail("no")).pipe(
        Command.within(group, { key: "k" }),
        Effect.exit,
        Effect.map(ending)
      )
  )

/** A call that is under way until it is told how to end. */
const call = Effect.fnUntraced(function*({ group }: Process) {
  const end = yield* Deferred.make<void, "no">()
  const started = yield* Deferred.make<void>()
  const work = Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(end))
  const fiber = yield* Command.queue(work.pipe(Command.within(group, { key: "k" })))
  yield* Effect.raceFirst(Deferred.await(started), Effect.exit(Fiber.join(fiber)))
  return {
    fiber,
    succeed: Effect.andThen(Deferred.succeed(end, undefined), Effect.exit(Fiber.join(fiber))),
    fail: Effect.andThen(Deferred.fail(end, "no" as const), Effect.exit(Fiber.join(fiber))),
    interrupt: Fiber.interrupt(fiber)
  }
})

const stands = (process: Process, expected: CircuitStore.State, key = "k") =>
  eventuallyEqual(`the circuit ${key}`, expected, Circuit.state(process.group, key))

/** An open circuit whose time has passed. */
const due = (process: Process) =>
  eventuallyEqual("the end of its time", 0, Effect.map(Circuit.open(process.group), ([first]) => first?.retryAfter))

/** The circuits that are not closed, as a process knows them without asking. */
const known = ({ group }: Process) =>
  Effect.map(
    GroupSnapshot.take(group),
    ({ circuits }) => circuits!.circuits.map(({ circuit, state }) => [circuit, state])
  )

onRedis("two processes see one circuit in Redis:", () => {
  it.live("a snapshot of either has it when it opens, and no more when it is closed", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10 })
      yield* calls(a, "ok")
      assert.deepStrictEqual(yield* known(a), [])
      yield* calls(a, "fail")
      for (const process of [a, b]) yield* eventuallyEqual("what is known", [["k", "open"]], known(process))
      yield* due(b)
      yield* calls(b, "ok")
      for (const process of [a, b]) yield* eventuallyEqual("what is known", [], known(process))
    }))

  it.live("a snapshot of a process that began when it was open has it from its first refusal on", () =>
    Effect.gen(function*() {
      const { a, prefix } = yield* two({ consecutive: 1 })
      yield* calls(a, "fail")
      yield* stands(a, "open")
      const late = yield* start({ consecutive: 1 }, { prefix })
      assert.deepStrictEqual(yield* known(late), [])
      assert.deepStrictEqual(yield* calls(late, "ok"), ["CircuitOpen"])
      assert.deepStrictEqual(yield* known(late), [["k", "open"]])
    }))

  it.live("17. that opens on failures in a row, of both", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 4 })
      yield* calls(a, "fail", "fail", "ok", "fail", "fail")
      yield* stands(b, "closed")
      yield* calls(b, "fail")
      // b's own outcomes and calls go the same way: it sees what it has done
      assert.deepStrictEqual(yield* calls(b, "fail", "ok"), ["no", "CircuitOpen"])
      assert.deepStrictEqual(yield* calls(a, "ok"), ["CircuitOpen"])
      yield* stands(a, "open")
    }))

  it.live("17. on a failure rate over the last calls, the call that fills the window included", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ failureRate: 0.5, window: { calls: 4 } })
      yield* calls(a, "fail", "fail")
      yield* calls(b, "ok")
      yield* stands(a, "closed")
      yield* calls(b, "ok")
      yield* stands(a, "open")
    }))

  it.live("17. over the last calls alone: an older failure has left the window", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ failureRate: 0.5, window: { calls: 20 }, minimumCalls: 20 })
      yield* calls(a, ...Array.from({ length: 20 }, (_, i) => i < 9 ? "fail" as const : "ok" as const))
      for (let i = 0; i < 9; i++) yield* calls(a, "fail") // each takes the place of one
      assert.deepStrictEqual(yield* calls(a, "fail", "ok"), ["no", "CircuitOpen"])
      yield* stands(b, "open")
    }))

  it.live("17. on a failure rate over a time window; what is older has left it", () =>
    Effect.gen(function*() {
      const { a, b, keys } = yield* two({ failureRate: 0.5, window: { time: "1 minute" }, minimumCalls: 3 })
      const { a: soon } = yield* two({ failureRate: 0.5, window: { time: 100 }, minimumCalls: 3 })
      yield* calls(a, "fail")
      yield* calls(b, "fail", "ok")
      yield* stands(a, "open")
      assert.strictEqual((yield* keys).length, 2)
      yield* calls(soon, "fail")
      yield* calls(soon, "fail")
      yield* Effect.sleep(120) // of a clock that is Redis' own
      assert.deepStrictEqual(yield* calls(soon, "fail", "ok"), ["no", "Success"])
    }))

  it.live("17. on a slow-call rate", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ slowCallRate: 1, slowerThan: 1, window: { calls: 2 } })
      const slow = ({ group }: Process) => Effect.sleep(5).pipe(Command.within(group, { key: "k" }))
      yield* slow(a)
      yield* stands(b, "closed")
      yield* slow(b)
      yield* stands(a, "open")
    }))

  it.live("16. that lets as many probes through as have to succeed, whoever makes them", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10, probes: 2 })
      yield* calls(a, "fail")
      yield* stands(b, "open")
      yield* due(b)
      const [first, second] = [yield* call(a), yield* call(b)]
      assert.deepStrictEqual(yield* calls(a, "ok"), ["CircuitOpen"])
      assert.deepStrictEqual(yield* calls(b, "ok"), ["CircuitOpen"])
      yield* stands(a, "half-open")
      yield* first.succeed
      // What it has done itself a process sees at once.
      assert.strictEqual(yield* Circuit.state(a.group, "k"), "half-open")
      assert.deepStrictEqual(yield* calls(b, "ok"), ["CircuitOpen"])
      yield* second.succeed
      yield* stands(a, "closed")
      yield* stands(b, "closed")
    }))

  it.live("16. whose probe gives its place back when it is interrupted, and opens it again when it fails", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10 })
      yield* calls(a, "fail")
      yield* stands(b, "open")
      yield* due(b)
      const probe = yield* call(a)
      yield* stands(b, "half-open")
      yield* probe.interrupt
      const half = Effect.map(Circuit.open(b.group), ([first]) => first)
      yield* eventuallyEqual("a free place", { circuit: "k", state: "half-open", forced: false, retryAfter: 0 }, half)
      yield* calls(b, "fail")
      yield* stands(a, "open")
    }))

  it.live("16. whose probe loses its place when its lease is over: what is heard of it after that is nothing", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10, probeLease: 50 })
      yield* calls(a, "fail")
      yield* stands(b, "open")
      yield* due(b)
      const hung = yield* call(a)
      yield* due(b) // the place is free again, after its lease
      const second = yield* call(b)
      assert.strictEqual(state(second.fiber), "running")
      yield* hung.fail
      yield* second.succeed
      yield* stands(a, "closed")
    }))

  it.live("15. in which an outcome from before a transition changes nothing after it", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10 })
      const late = [yield* call(a), yield* call(a), yield* call(a)]
      yield* calls(b, "fail")
      yield* stands(a, "open")
      yield* late[0]!.succeed
      yield* due(a)
      const probe = yield* call(b)
      yield* late[1]!.succeed
      yield* stands(a, "half-open")
      yield* probe.succeed
      yield* stands(a, "closed")
      yield* late[2]!.fail
      assert.deepStrictEqual(yield* calls(a, "ok"), ["Success"])
      yield* stands(a, "closed")
    }))

  it.live("19. that an operator holds, and that nothing forgets", () =>
    Effect.gen(function*() {
      const { a, b, keys } = yield* two({ consecutive: 1, openFor: 10 }, { idleTimeToLive: 50 })
      yield* Circuit.force(a.group, "k", "open")
      assert.deepStrictEqual(yield* calls(b, "ok"), ["CircuitOpen"])
      yield* Circuit.force(a.group, "other", "closed")
      const held = Effect.map(Circuit.open(b.group), (all) =>
        all.map(({ circuit, forced, state }) => [circuit, state, forced]))
      yield* Effect.sleep(150)
      assert.deepStrictEqual(yield* held, [["k", "open", true], ["other", "closed", true]])
      yield* Circuit.force(b.group, "k", "closed")
      yield* eventuallyEqual("a call that is let in", ["no"], calls(a, "fail"))
      assert.deepStrictEqual(yield* calls(a, "fail", "ok"), ["no", "Success"])
      for (const key of ["k", "other"]) {
        yield* Circuit.force(b.group, key, "auto")
      }
      assert.deepStrictEqual(yield* held, [])
      yield* eventuallyEqual("nothing left", [], keys)
    }))

  it.live("19. whose transitions all hear of, once each and in one order, and one of them logs", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: 10 })
      const heard = yield* Effect.forEach([a, b], ({ group }) =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          const read = Stream.runForEach(Circuit.transitions(group), ({ circuit, forced, from, group, to }) =>
            Effect.sync(() =>
              seen.push(`${group} ${circuit}: ${from} -> ${to}, ${forced}`)
            ))
          yield* Effect.forkChild(read, { startImmediately: true })
          return seen
        }))
      yield* calls(a, "fail")
      yield* stands(b, "open")
      yield* due(b)
      yield* calls(b, "ok")
      yield* stands(a, "closed")
      yield* Circuit.force(a.group, "k", "open")
      const expected = [
        "closed -> open, false",
        "open -> half-open, false",
        "half-open -> closed, false",
        "closed -> open, true"
      ]
      for (const seen of heard) {
        yield* eventually("four transitions", () => seen.length >= 4)
        assert.deepStrictEqual(seen, expected.map((one) => `service.billing k: ${one}`))
      }
      yield* eventually("four lines", () => a.lines.length + b.lines.length >= 4)
      assert.deepStrictEqual(a.lines, [
        "circuit k of service.billing: closed -> open",
        "circuit k of service.billing: closed -> open (forced)"
      ])
      assert.deepStrictEqual(b.lines, [
        "circuit k of service.billing: open -> half-open",
        "circuit k of service.billing: half-open -> closed"
      ])
    }))

  it.live("20. that turns calls away without asking, and lets them in again as soon as it is closed elsewhere", () =>
    Effect.gen(function*() {
      const { a, b } = yield* two({ consecutive: 1, openFor: "1 minute" })
      yield* calls(a, "fail")
      yield* stands(b, "open")
      assert.deepStrictEqual(yield* calls(b, "ok"), ["CircuitOpen"])
      const refused = yield* Effect.flip(Effect.void.pipe(Command.within(b.group, { key: "k" })))
      assert.deepInclude({ ...refused }, { circuit: "k", state: "open" })
      // At once: a fiber that waited for Redis would not have ended yet.
      assert.strictEqual(
        state(yield* Command.queue(Effect.void.pipe(Command.within(b.group, { key: "k" })))),
        "CircuitOpen"
      )
      yield* Circuit.force(a.group, "k", "auto")
      yield* eventuallyEqual("a call that is let in", ["Success"], calls(b, "ok"))
    }))

  it.live("18. keys are data, whatever is in them, and however long they are", () =>
    Effect.gen(function*() {
      const { a, b, keys } = yield* two({ consecutive: 1, openFor: "1 minute" })
      const long = "long ".repeat(100_000)
      const odd = [
        "",
        "k",
        "closed",
        "others",
        "a b\r\nFLUSHALL\r\n",
        "{x}}",
        "%d*?[]",
        "\0",
        "']; return redis.call('FLUSHALL') --",
        "ключ 🔑",
        long,
        `${long}!`
      ]
      const get = ({ group }: Process) =>
        Command.make("get", (_key: string, how: Ending) => how === "ok" ? Effect.void : Effect.fail("no"), {
          group,
          circuit: { key: (key) => key }
        })
      for (const key of odd) yield* Effect.exit(get(a)(key, "fail"))
      for (const key of odd) yield* stands(b, "open", key)
      for (const key of odd) assert.strictEqual(ending(yield* Effect.exit(get(b)(key, "ok"))), "CircuitOpen")
      yield* get(b)("another", "ok")
      assert.strictEqual((yield* Circuit.open(b.group)).length, odd.length)
      for (const key of yield* keys) assert.isBelow(key.length, 400)
    }))

  it.live("18. no more of them are kept than maxKeys: closed ones go first", () =>
    Effect.gen(function*() {
      const { a, keys } = yield* two({ failureRate: 1, minimumCalls: 1, openFor: "1 minute", maxKeys: 10 })
      const get = Command.make("get", (_key: string, how: Ending) => how === "ok" ? Effect.void : Effect.fail("no"), {
        group: a.group,
        circuit: { key: (key) => key }
      })
      const opened = Array.from({ length: 5 }, (_, i) => `open ${i}`)
      for (const key of opened) yield* Effect.exit(get(key, "fail"))
      for (let i = 0; i < 100; i++) yield* get(`closed ${i}`, "ok")
      yield* stands(a, "open", "open 4")
      const circuits = Effect.map(keys, (keys) => keys.filter((key) => key.includes("k:")))
      assert.deepStrictEqual((yield* circuits).length, 10)
      assert.deepStrictEqual((yield* Circuit.open(a.group)).map(({ circuit }) => circuit), opened)
      for (let i = 0; i < 20; i++) yield* Effect.exit(get(`more ${i}`, "fail"))
      yield* stands(a, "open", "more 19")
      assert.deepStrictEqual((yield* circuits).length, 10)
      assert.isNotEmpty((yield* Circuit.open(a.group)).filter(({ circuit }) => circuit === "more 19"))
    }))

  it.live("18. and none longer than it is used", () =>
    Effect.gen(function*() {
      const { a, keys } = yield* two({ consecutive: 2, openFor: 50 }, { idleTimeToLive: 100 })
      yield* calls(a, "fail")
      yield* eventuallyEqual("a circuit and a list", 2, Effect.map(keys, (keys) => keys.length))
      yield* eventuallyEqual("none", [], keys)
      yield* calls(a, "fail", "fail")
      yield* stands(a, "open")
      yield* eventuallyEqual("none, although it was open", [], keys)
    }))

  it.live("a change of its window begins it anew", () =>
    Effect.gen(function*() {
      const { a, prefix } = yield* two({ failureRate: 0.5, window: { calls: 4 }, minimumCalls: 3 })
      const b = yield* start({ failureRate: 0.5, window: { time: "1 minute" }, minimumCalls: 3 }, { prefix })
      yield* calls(a, "fail", "fail")
      yield* calls(b, "fail", "fail")
      yield* calls(a, "fail", "fail")
      yield* stands(b, "closed")
      yield* calls(a, "fail")
      yield* stands(b, "open")
    }))

  it.live("groups of other names and prefixes have circuits of their own", () =>
    Effect.gen(function*() {
      const { a } = yield* two({ consecutive: 1 })
      const { a: other } = yield* two({ consecutive: 1 })
      yield* calls(a, "fail")
      yield* stands(a, "open")
      yield* stands(other, "closed")
    }))

  it.live("real ones too", () =>
    Effect.gen(function*() {
      const prefix = newPrefix()
      const process = (...hows: ReadonlyArray<string>) =>
        Effect.map(
          runProcess(
            globalThis.process.execPath,
            [`${import.meta.dirname}/circuit-process.ts`, url!, prefix, ...hows],
            { cwd: "." }
          ),
          ({ exitCode, stderr, stdout }) => {
            assert.strictEqual(exitCode, 0, stderr)
            return JSON.parse(stdout) as unknown
          }
        )
      const both = yield* Effect.all([process("fail", "fail"), process("fail", "fail")], { concurrency: 2 })
      for (const one of both) assert.deepStrictEqual(one, { endings: ["no", "no"], state: "closed" })
      assert.deepStrictEqual(yield* process("fail", "ok"), { endings: ["no", "CircuitOpen"], state: "open" })
      assert.deepStrictEqual(yield* process("ok"), { endings: ["CircuitOpen"], state: "open" })
    }), 60_000)
})

// One after another: how long an answer takes is what these are about.
onRedis("when Redis goes away", { concurrent: false }, () => {
  const server = Effect.acquireRelease(
    Effect.promise(() => RedisServer.start()),
    (server) => Effect.promise(() => server.kill())
  )
  const slowWay = (url: string) =>
    Effect.acquireRelease(Effect.promise(() => SlowWay.to(url)), (way) => Effect.sync(() => way.close()))
  const options = { consecutive: 2, openFor: "1 minute" } as const
  const health = ({ lines }: Process) =>
    lines.filter((line) => line.startsWith("Redis ")).map((line) => line.split(" ").slice(0, 3).join(" "))
  const said = ["Redis does not", "Redis answers again"]

  for (const [onStoreError, ending] of [["allow", "Success"], ["refuse", "CircuitOpen"]] as const) {
    it.live(
      `for good, ${onStoreError} holds for every call at once, and it heals by itself`,
      () =>
        Effect.gen(function*() {
          const redis = yield* server
          const a = yield* start(options, { onStoreError, timeout: "2 seconds" }, redis.url)
          yield* calls(a, "fail", "fail")
          yield* stands(a, "open")
          yield* Effect.promise(() => redis.kill())
          const open = (yield* calls(a, "ok"))[0]! // it may be remembered for a second
          assert.include(["CircuitOpen", ending], open)
          yield* eventuallyEqual(`what ${onStoreError} says`, [ending], calls(a, "ok"))
          yield* eventually("the outage", () => health(a).length === 1)
          const snapshot = yield* Effect.forkChild(known(a), { startImmediately: true })
          assert.strictEqual(state(snapshot), "Success") // it waited for nothing
          const refusedAtOnce = yield* Command.queue(Effect.void.pipe(Command.within(a.group, { key: "k" })))
          assert.strictEqual(state(refusedAtOnce), ending)
          yield* Effect.forEach(Array.from({ length: 1000 }), () => calls(a, "ok"))
          assert.strictEqual(health(a).length, 1)

          yield* Effect.promise(() => redis.start())
          yield* eventually("its end", () => health(a).length === 2)
          assert.deepStrictEqual(health(a), said)
          // It knows nothing any more, and learns anew.
          yield* eventuallyEqual("a call that is let in", ["Success"], calls(a, "ok"))
          yield* calls(a, "fail", "fail")
          yield* stands(a, "open")
          assert.deepStrictEqual(yield* calls(a, "ok"), ["CircuitOpen"])
        }),
      30_000
    )
  }

  it.live(
    "for a while, and only falls silent, no call waits longer than it may, and nothing is kept from a probe",
    () =>
      Effect.gen(function*() {
        const redis = yield* server
        const a = yield* start({ consecutive: 1, openFor: 10 }, { timeout: "1 second" }, redis.url)
        const b = yield* start({ consecutive: 1, openFor: 10 }, { timeout: "5 seconds" }, redis.url)
        yield* calls(a, "fail")
        yield* stands(b, "open")
        yield* due(b)
        redis.pause()
        // Each of these asks, and one of them is granted the probe, too late.
        const waiting = yield* Effect.forEach(
          Array.from({ length: 5 }),
          () => Command.queue(Effect.succeed("ok").pipe(Command.within(a.group, { key: "k" })))
        )
        assert.deepStrictEqual(waiting.map(state), waiting.map(() => "running"))
        for (const fiber of waiting) assert.strictEqual(yield* Fiber.join(fiber), "ok")
        assert.deepStrictEqual(health(a), ["Redis does not"])
        const at = yield* Command.queue(Effect.succeed("ok").pipe(Command.within(a.group, { key: "k" })))
        assert.strictEqual(state(at), "Success")
        redis.resume()
        yield* eventually("its end", () => health(a).length === 2)
        // The place was given back, long before its lease was over.
        yield* eventuallyEqual("a probe that is let in", ["Success"], calls(b, "ok"))
        yield* stands(b, "closed")
      }),
    60_000
  )

  it.live(
    "and is only slow, every call is let in within its timeout, the log says so once, and it heals by itself",
    () =>
      Effect.gen(function*() {
        const redis = yield* server
        const way = yield* slowWay(redis.url)
        const a = yield* start({ consecutive: 2, openFor: "1 minute" }, { timeout: "200 millis" }, way.url)
        yield* calls(a, "fail", "ok")
        way.delay = 2500
        const fibers = yield* Effect.forEach(
          Array.from({ length: 100 }),
          () => Command.queue(Effect.succeed("ok").pipe(Command.within(a.group, { key: "k" })))
        )
        const [took] = yield* Effect.timed(Effect.forEach(fibers, Fiber.join))
        assert.isBelow(Duration.toMillis(took), 2500)
        assert.deepStrictEqual(health(a), ["Redis does not"])
        // From then on nobody waits.
        const refused = yield* Effect.forEach(
          Array.from({ length: 100 }),
          () => Command.queue(Effect.succeed("ok").pipe(Command.within(a.group, { key: "k" })))
        )
        assert.deepStrictEqual(new Set(refused.map(state)), new Set(["Success"]))
        way.delay = 0
        yield* eventually("its end", () => health(a).length === 2)
        yield* calls(a, "fail", "fail")
        yield* stands(a, "open")
        assert.deepStrictEqual(health(a), said)
        assert.deepInclude(yield* Pool.statistics(a.group.pool), { active: 0, queued: 0 })
      }),
    30_000
  )

  it.live("and its clock is set back, nothing stays open, or half-open, for longer than it would have", () =>
    Effect.gen(function*() {
      const { a, b, prefix } = yield* two({ consecutive: 1, openFor: 50, probeLease: 60_000 })
      const hash = `${prefix}{service.billing}:k:k`
      const tomorrow = (yield* Clock.currentTimeMillis) + 86_400_000
      yield* calls(a, "fail")
      yield* stands(b, "open")
      // What the hash holds then: a time to come.
      yield* Effect.orDie(a.redis.send("HSET", hash, "openUntil", String(tomorrow)))
      assert.deepStrictEqual(yield* calls(a, "ok"), ["CircuitOpen"])
      yield* due(b)
      const hung = yield* call(b) // b remembers no refusal
      yield* stands(a, "half-open")
      const probes = yield* Effect.orDie(a.redis.send<string>("HGET", hash, "probes"))
      yield* Effect.orDie(a.redis.send("HSET", hash, "probes", probes.replace(/=\d+/, `=${tomorrow}`)))
      yield* eventuallyEqual("a probe that is let in", ["Success"], calls(a, "ok"))
      yield* stands(b, "closed")
      yield* hung.fail
      yield* stands(b, "closed")
    }))

  it.live("and forgets everything mid-run, calls under way end as ever, and say nothing of what is new", () =>
    Effect.gen(function*() {
      const redis = yield* server
      const a = yield* start({ consecutive: 1, openFor: 10 }, {}, redis.url)
      yield* calls(a, "fail")
      yield* stands(a, "open")
      yield* due(a)
      const probe = yield* call(a)
      yield* stands(a, "half-open")
      yield* Effect.orDie(a.redis.send("FLUSHALL"))
      yield* stands(a, "closed")
      yield* probe.fail
      assert.deepStrictEqual(yield* calls(a, "ok"), ["Success"])
      yield* calls(a, "fail")
      yield* stands(a, "open")
      assert.deepStrictEqual(health(a), [])
    }))
})
