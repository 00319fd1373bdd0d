// A circuit for each host: one that is down is left alone, the others are not. `node examples/circuit.ts`
import { Circuit, Command, Group } from "@blackgate/core"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Stream } from "effect"

// Three failures in a row, or half of the last 20 calls, open the circuit of a host for 200 milliseconds.
class Hosts extends Group.Service<Hosts>()("hosts") {}
const HostsLive = Hosts.layer({
  pool: { maxConcurrent: 100 },
  circuit: { consecutive: 3, failureRate: 0.5, window: { calls: 20 }, openFor: "200 millis" }
})

class Status extends Data.TaggedError("Status")<{ readonly status: number }> {}

// Three hosts, one of which is down at first.
const down = new Set(["b.example"])
const fetchPage = Effect.fn("fetchPage")(function*(host: string, path: string) {
  if (host === "c.example") return yield* Effect.never // it accepts connections, and that is all
  if (down.has(host)) return yield* new Status({ status: 503 })
  if (path === "/missing") return yield* new Status({ status: 404 })
  return `200 from ${host}${path}`
})

const get = Command.make("get", fetchPage, {
  group: Hosts,
  timeout: "20 millis", // a host that hangs has failed when this is over
  circuit: {
    key: (host) => host,
    isFailure: (failure) => failure.status >= 500 // a 404 shows that the host answers
  },
  fallback: (failure) => Effect.succeed(failure._tag === "Status" ? String(failure.status) : failure._tag)
})

const report = Effect.fnUntraced(function*(host: string, path: string, times: number) {
  const answers: Array<string> = []
  for (let i = 0; i < times; i++) answers.push(yield* get(host, path))
  yield* Console.log(`${host}${path}: ${answers.join(", ")}`)
})

const program = Effect.gen(function*() {
  const group = yield* Hosts
  // What a dashboard would read. The log has it too.
  const show = Stream.runForEach(
    Circuit.transitions(group),
    ({ circuit, from, to }) => Console.log(`  ${circuit}: ${from} -> ${to}`)
  )
  yield* Effect.forkChild(show, { startImmediately: true })

  yield* report("a.example", "/", 2)
  yield* report("a.example", "/missing", 5) // never opens
  yield* report("b.example", "/", 5) // opens with the third, and does not even ask for the last two
  yield* report("c.example", "/", 5) // so does this one, by its deadlines
  yield* report("a.example", "/", 1) // which is nothing to the others

  // It comes back: the first call after the time is a probe, and closes the circuit.
  down.delete("b.example")
  yield* Effect.sleep("250 millis")
  yield* report("b.example", "/", 2)

  // Maintenance: an operator holds it, until further notice.
  yield* Circuit.force(group, "a.example", "open")
  yield* report("a.example", "/", 1)
  yield* Circuit.force(group, "a.example", "auto")
  yield* report("a.example", "/", 1)

  const open = (yield* Circuit.open(group)).map(({ circuit, state }) => `${circuit} is ${state}`)
  yield* Console.log(`not closed: ${open.join(", ")}`)
})

// Circuits of many processes: `Layer.provide(HostsLive, CircuitStore.layerRedis())`, over Effect's `Redis`.
NodeRuntime.runMain(Effect.provide(program, HostsLive))
