// What a live dashboard reads: a snapshot every so often, and what happens in between, as server-sent events.
// `node examples/dashboard-events.ts` serves them, and reads them back.
import { Command, Group, GroupEvents, GroupSnapshot } from "@blackgate/core"
import { NodeHttpServer } from "@effect/platform-node"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientResponse,
  HttpRouter,
  HttpServer,
  HttpServerResponse
} from "effect/http"
import { createServer } from "node:http"

class Search extends Group.Service<Search>()("service.search") {}
const SearchLive = Search.layer({ pool: { maxConcurrent: 2 }, circuit: { consecutive: 3, openFor: "5 seconds" } })

const search = Command.make(
  "search",
  (word: string) => Effect.delay(Effect.succeed([`a hit for ${word}`]), "10 millis"),
  {
    group: Search
  }
)
const suggest = Command.make("suggest", () => Effect.fail({ _tag: "Down" } as const), {
  group: Search,
  retry: { times: 1, base: "10 millis" },
  fallback: () => Effect.succeed([])
})

// An SSE has a name and a line of data. Both kinds are JSON as they are.
const sse = (event: string, data: unknown) =>
  Sse.encoder.write({ _tag: "Event", event, id: undefined, data: JSON.stringify(data) })

const EventsRoute = HttpRouter.add(
  "GET",
  "/events",
  Effect.gen(function*() {
    const group = yield* Search
    const snapshots = GroupSnapshot.every(group, "1 second").pipe(Stream.map((snapshot) => sse("snapshot", snapshot)))
    const events = GroupEvents.stream(group).pipe(Stream.map((event) => sse("event", event)))
    // Whoever goes away ends its streams, and nothing is paid for them any more.
    return HttpServerResponse.stream(Stream.encodeText(Stream.merge(snapshots, events)), {
      contentType: "text/event-stream",
      headers: { "cache-control": "no-store" }
    })
  })
)

const decodeSnapshot = Schema.decodeUnknownSync(Schema.fromJsonString(GroupSnapshot.GroupSnapshot))
const decodeEvent = Schema.decodeUnknownSync(Schema.fromJsonString(GroupEvents.Event))

const line = ({ data, event }: Sse.Event): string => {
  if (event === "snapshot") {
    const { circuits, pool, total: { calls, lately } } = decodeSnapshot(data)
    const open = circuits?.circuits.filter(({ state }) => state === "open").map(({ circuit }) => circuit) ?? []
    return `snapshot: ${pool.active} of ${pool.maxConcurrent} active, ${calls} calls, ${lately.errorPercent} % errors, ` +
      `open: ${open.join(", ") || "none"}`
  }
  const happened = decodeEvent(data)
  switch (happened._tag) {
    case "CallEnded":
      return `${happened.key} ended: ${happened.outcome}${
        happened.failure === undefined ? "" : `, ${happened.failure}`
      }`
    case "CircuitMoved":
      return `circuit ${happened.circuit}: ${happened.from} -> ${happened.to}`
    default:
      return happened._tag
  }
}

const traffic = Effect.gen(function*() {
  yield* search("cats")
  yield* suggest().pipe(Effect.repeat({ times: 2 }))
})

const program = HttpServer.addressFormattedWith((address) =>
  Effect.gen(function*() {
    // The first snapshot says that the reader is there.
    const seen = HttpClient.get(`${address}/events`).pipe(
      HttpClientResponse.stream,
      Stream.decodeText,
      Stream.pipeThroughChannel(Sse.decode()),
      Stream.onFirst(() => Effect.forkChild(traffic)),
      Stream.map(line),
      Stream.takeUntil((line) => line.startsWith("snapshot") && line.includes("open: suggest"))
    )
    yield* Stream.runForEach(seen, (line) => Console.log(line))
  })
)

const Server = HttpRouter.serve(EventsRoute, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
  Layer.provideMerge(SearchLive)
)

await Effect.runPromise(program.pipe(Effect.provide([Server, FetchHttpClient.layer])))
