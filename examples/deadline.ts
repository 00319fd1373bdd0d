// One deadline for a page that is made of three calls, the last over HTTP: `node examples/deadline.ts`.
import { Command, Criticality, Deadline, Group } from "@blackgate/core"
import { CallContext } from "@blackgate/http"
import { Console, Duration, Effect } from "effect"
import { HttpClient, HttpClientResponse, HttpEffect, HttpServerResponse } from "effect/http"

class Pages extends Group.Service<Pages>()("service.pages") {}
const PagesLive = Pages.layer({ pool: { maxConcurrent: 10 } })

// The service behind: it knows how long its caller waits, and what for. Here it is in memory instead of behind a network.
const recommendations = Effect.gen(function*() {
  const level = yield* Criticality.current
  const millis = Duration.toMillis(yield* Deadline.remaining)
  return HttpServerResponse.text(`${level}, ${millis > 250 ? "all of them" : "the best of them"}`)
}).pipe(CallContext.receive())

const handle = HttpEffect.toWebHandler(recommendations)
const client = HttpClient.make((request) =>
  Effect.map(
    Effect.promise(() => handle(new Request(request.url, { headers: { ...request.headers } }))),
    (response) => HttpClientResponse.fromWeb(request, response)
  )
).pipe(CallContext.send())

const getUser = Command.make("get_user", (millis: number) => Effect.as(Effect.sleep(millis), "user 1"), {
  group: Pages,
  timeout: "1 second"
})

// It would try again after 10 seconds. With a deadline it knows that nobody would wait for that.
const getOrders = Command.make("get_orders", () => Effect.fail("no orders"), {
  group: Pages,
  retry: { retryAfter: () => "10 seconds" },
  fallback: () => Effect.succeed("no orders")
})

const getRecommendations = Command.make(
  "get_recommendations",
  () => Effect.flatMap(client.get("http://recommendations/"), ({ text }) => text),
  { group: Pages, timeout: "1 second" }
)

const page = (userTakes: number) =>
  Effect.all([getUser(userTakes), getOrders(), getRecommendations().pipe(Criticality.provide("sheddable"))]).pipe(
    Deadline.within("500 millis"),
    Effect.map((parts) => parts.join("; ")),
    Effect.catchTag("DeadlineExceeded", ({ message }) => Effect.succeed(`an error page: ${message}`)),
    Effect.flatMap((answer) => Console.log(`the user takes ${userTakes} ms: ${answer}`))
  )

const program = Effect.forEach([1, 350, 900], page)

await Effect.runPromise(Effect.provide(program, PagesLive))
