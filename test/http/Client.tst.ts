import { type CommandError, Group } from "@blackgate/core"
import { Client } from "@blackgate/http"
import { Effect, flow, type Layer, type Option } from "effect"
import type { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpApi, HttpApiClient } from "effect/http-api"
import { describe, expect, it } from "tstyche"

class Api extends Group.Service<Api>()("api") {}
declare const group: Group.Group
declare const client: HttpClient.HttpClient
declare const odd: HttpClient.HttpClient.With<"odd", "service">

describe("a protected client", () => {
  it("fails with what the client fails with, and with what the group refuses; and needs the group", () => {
    expect(client.pipe(Client.within(Api))).type.toBe<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | CommandError.GroupError, Api>
    >()
    expect(Client.within(client, Api)).type.toBe<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | CommandError.GroupError, Api>
    >()
    expect(odd.pipe(Client.within(Api))).type.toBe<
      HttpClient.HttpClient.With<"odd" | CommandError.GroupError, "service" | Api>
    >()
  })

  it("needs no group that is a value", () => {
    expect(client.pipe(Client.within(group, { retry: {} }))).type.toBe<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | CommandError.GroupError>
    >()
  })

  it("fails with CommandTimeout where there is a deadline", () => {
    expect(client.pipe(Client.within(group, { timeout: "1 second" }))).type.toBe<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | CommandError.CommandError>
    >()
    expect(Client.within(client, group, { attemptTimeout: 100 })).type.toBe<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | CommandError.CommandError>
    >()
  })

  it("fails with HttpClientError where reading the body is part of the call", () => {
    expect(Client.within(odd, group, { until: "head" })).type.toBe<
      HttpClient.HttpClient.With<"odd" | CommandError.GroupError, "service">
    >()
    expect(odd.pipe(Client.within(group, { until: "body" }))).type.toBe<
      HttpClient.HttpClient.With<"odd" | HttpClientError.HttpClientError | CommandError.GroupError, "service">
    >()
  })

  it("has options that see requests, responses and the client's own failures", () => {
    Client.within(odd, group, {
      isFailure: (response) => {
        expect(response).type.toBe<HttpClientResponse.HttpClientResponse>()
        return true
      },
      circuit: {
        key: (request) => {
          expect(request).type.toBe<HttpClientRequest.HttpClientRequest>()
          return request.url
        },
        isFailure: (failure) => {
          expect(failure).type.toBe<"odd">()
          return true
        }
      },
      rateLimit: { key: (request) => request.method },
      retry: {
        while: (failure) => {
          expect(failure).type.toBe<HttpClientResponse.HttpClientResponse | "odd" | CommandError.CommandTimeout>()
          return true
        },
        isRepeatable: (request) => request.method === "GET"
      },
      hedge: { after: "p95", isRepeatable: (request) => request.method === "GET" }
    })
  })

  it("has no options that it does not know", () => {
    expect(Client.within).type.not.toBeCallableWith(client, group, { fallback: () => Effect.void })
    expect(Client.within).type.not.toBeCallableWith(client, group, { until: "tail" })
    expect(Client.within).type.not.toBeCallableWith(client, group, { hedge: {} })
    expect(Client.within).type.not.toBeCallableWith(client, group, { retry: { retryAfter: () => 1 } })
  })
})

describe("a client whose failures are HttpClientErrors", () => {
  it("is an HttpClient, if its group is a value", () => {
    const plain = client.pipe(Client.within(group, { timeout: "1 second" }), Client.withHttpClientErrors)
    expect(plain).type.toBe<HttpClient.HttpClient.With<HttpClientError.HttpClientError>>()
    expect(plain).type.toBeAssignableTo<HttpClient.HttpClient>()
  })

  it("keeps the other failures, and its requirements", () => {
    expect(odd.pipe(Client.within(Api), Client.withHttpClientErrors)).type.toBe<
      HttpClient.HttpClient.With<"odd" | HttpClientError.HttpClientError, "service" | Api>
    >()
  })

  it("says what is behind them", () => {
    expect(Client.commandError(new Error())).type.toBe<Option.Option<CommandError.CommandError>>()
  })

  it("is what an HttpApiClient can be given, in one line", () => {
    const api = HttpApi.make("api")
    expect(HttpApiClient.make).type.toBeCallableWith(api, {
      transformClient: flow(Client.within(group, { timeout: "1 second" }), Client.withHttpClientErrors)
    })
    expect(HttpApiClient.make).type.toBeCallableWith(api, {
      transformClient: (client: HttpClient.HttpClient) =>
        client.pipe(Client.within(group, { timeout: "1 second" }), Client.withHttpClientErrors)
    })
    expect(HttpApiClient.make).type.not.toBeCallableWith(api, { transformClient: Client.within(group) })
    expect(HttpApiClient.make).type.not.toBeCallableWith(api, {
      transformClient: flow(Client.within(Api), Client.withHttpClientErrors)
    })
  })
})

describe("the layer", () => {
  it("takes an HttpClient and its group, and provides an HttpClient", () => {
    expect(Client.layer(Api, { timeout: "1 second" })).type.toBe<
      Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | Api>
    >()
    expect(Client.layer(group)).type.toBe<Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient>>()
  })
})
