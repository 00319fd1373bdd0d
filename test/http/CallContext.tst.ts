import type { Group } from "@blackgate/core"
import { CallContext, Proxy } from "@blackgate/http"
import type { Effect } from "effect"
import {
  type HttpClient,
  type HttpClientError,
  HttpRouter,
  type HttpServerRequest,
  type HttpServerResponse
} from "effect/http"
import { expect, test } from "tstyche"

type Response = HttpServerResponse.HttpServerResponse

test("receive needs the request and adds no failure, either way round", () => {
  const app: Effect.Effect<Response, "no", "needs"> = null!
  type Received = Effect.Effect<Response, "no", "needs" | HttpServerRequest.HttpServerRequest>
  expect(app.pipe(CallContext.receive())).type.toBe<Received>()
  expect(CallContext.receive(app, { maxDeadline: "1 minute" })).type.toBe<Received>()
  expect(CallContext.receive).type.not.toBeCallableWith({ maxCriticality: "urgent" })
  expect(HttpRouter.middleware).type.toBeCallableWith(CallContext.receive(), { global: true })
})

test("send changes no type of a client, either way round", () => {
  const client: HttpClient.HttpClient = null!
  expect(CallContext.send(client)).type.toBe<HttpClient.HttpClient.With<HttpClientError.HttpClientError>>()
  expect(client.pipe(CallContext.send({ criticalityHeader: "x-level" }))).type.toBe<
    HttpClient.HttpClient.With<HttpClientError.HttpClientError>
  >()
})

test("a route says how critical it is, and what it reads and writes", () => {
  const group: Group.Group = null!
  const upstream = "http://intra.service.com"
  expect(Proxy.handler).type.toBeCallableWith({
    group,
    upstream,
    criticality: "sheddable",
    callContext: { receive: { trust: () => true }, send: true }
  })
  expect(Proxy.handler).type.not.toBeCallableWith({ group, upstream, criticality: "urgent" })
  expect(Proxy.handler).type.not.toBeCallableWith({ group, upstream, callContext: { receive: "yes" } })
})
