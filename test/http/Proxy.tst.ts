import { type CommandError, Group, type InvalidOptions } from "@blackgate/core"
import { Proxy, type Rewrite, Transport, type Upstream, type UpstreamError } from "@blackgate/http"
import { Context, Data, Effect, Layer, type Scope } from "effect"
import {
  type HttpClient,
  HttpRouter,
  type HttpServerError,
  type HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { describe, expect, it } from "tstyche"

class Api extends Group.Service<Api>()("api.v1") {}
class Users
  extends Context.Service<Users, { readonly find: (token: string) => Effect.Effect<string, NoUser> }>()("Users")
{}
class Audit extends Context.Service<Audit, { readonly log: Effect.Effect<void> }>()("Audit") {}
class NoUser extends Data.TaggedError("NoUser")<{}> {}
class NoPage extends Data.TaggedError("NoPage")<{}> {}

declare const group: Group.Group
declare const upstream: Upstream.Upstream

const url = "http://intra.service.com"
type Response = HttpServerResponse.HttpServerResponse
type Requires<T> = HttpRouter.Request<"Requires", T>

describe("a route needs", () => {
  it("the router, its group and a transport", () => {
    expect(Proxy.route("/api/*", { group: Api, upstream: url })).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>
    >()
  })

  it("no group, if that is a value", () => {
    expect(Proxy.route("/api/*", { group, upstream })).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Transport.Transport>
    >()
  })

  it("the same, where there are many", () => {
    expect(Proxy.routes([
      { path: "/a/*", group: Api, upstream: url },
      { path: "/b/*", group: Api, upstream, method: "GET", timeout: "1 second" }
    ])).type.toBe<Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>>()
    expect(Proxy.routes(["a", "b"].map((name) => ({ path: `/${name}/*` as const, group, upstream })))).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Transport.Transport>
    >()
    expect(Proxy.table("/*", [{ path: "/a/*", group: Api, upstream: url }])).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>
    >()
    expect(Proxy.routes<Api>).type.not.toBeCallableWith([{ group: Api, upstream: url }])
    expect(Proxy.routes<Api>).type.not.toBeCallableWith([{ path: "a", group: Api, upstream: url }])
  })

  it("of each request, what the effects of its options need", () => {
    const route = Proxy.route("/api/*", {
      group: Api,
      upstream,
      rewrite: (request) =>
        Effect.gen(function*() {
          const users = yield* Users
          yield* users.find("token")
          return request
        }),
      rewriteResponse: (response) =>
        Effect.gen(function*() {
          yield* (yield* Audit).log
          return response
        }),
      fallback: () =>
        Effect.gen(function*() {
          yield* Users
          return HttpServerResponse.empty()
        })
    })
    expect(route).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport | Requires<Users> | Requires<Audit>>
    >()
  })

  it("nothing of what the router provides to each request", () => {
    const route = Proxy.route("/api/:id", {
      group: Api,
      upstream,
      rewrite: (request) => Effect.as(HttpRouter.params, request)
    })
    expect(route).type.toBe<Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>>()
  })

  it("a group and a transport before it is served", () => {
    const route = Proxy.route("/api/*", { group: Api, upstream })
    const transport = Transport.layerMemory(() => Effect.succeed(HttpServerResponse.empty()))
    expect(HttpRouter.toWebHandler).type.toBeCallableWith(
      Layer.provide(route, [Api.layer({ pool: { maxConcurrent: 1 } }), transport])
    )
    expect(HttpRouter.toWebHandler).type.not.toBeCallableWith(Layer.provide(route, transport))
    expect(HttpRouter.toWebHandler).type.not.toBeCallableWith(
      Layer.provide(route, Api.layer({ pool: { maxConcurrent: 1 } }))
    )
  })
})

describe("a route fails", () => {
  it("with what its fallback fails with, and nothing else", () => {
    const route = Proxy.route("/api/*", {
      group: Api,
      upstream,
      rewrite: () => Effect.fail(new NoUser()),
      fallback: () => Effect.fail(new NoPage())
    })
    expect(route).type.toBe<
      Layer.Layer<
        never,
        never,
        HttpRouter.HttpRouter | Api | Transport.Transport | HttpRouter.Request<"Error", NoPage>
      >
    >()
  })

  it("not at all, if its fallback is a response", () => {
    const route = Proxy.route("/api/*", { group, upstream, fallback: () => HttpServerResponse.empty() })
    expect(route).type.toBe<Layer.Layer<never, never, HttpRouter.HttpRouter | Transport.Transport>>()
  })
})

describe("the options need no annotations", () => {
  it("a rewrite is handed the request, a rewrite of the response both, a fallback the failure and the request", () => {
    Proxy.route("/api/*", {
      group,
      upstream: url,
      rewrite: (request) => {
        expect(request).type.toBe<Rewrite.ProxyRequest>()
        return request
      },
      rewriteResponse: (response, request) => {
        expect(response).type.toBe<Rewrite.ProxyResponse>()
        expect(request).type.toBe<Rewrite.ProxyRequest>()
        return response
      },
      fallback: (failure, request) => {
        expect(failure).type.toBe<UpstreamError.UpstreamError | CommandError.CommandError>()
        expect(request).type.toBe<Rewrite.ProxyRequest>()
        return HttpServerResponse.text(failure._tag)
      }
    })
  })

  it("a retry's functions are handed what the upstream failed with, keys the request", () => {
    Proxy.route("/api/*", {
      group,
      upstream: url,
      attemptTimeout: "1 second",
      retry: {
        times: 3,
        methods: ["GET", "PROPFIND"],
        statuses: [429, 503],
        while: (failure) => {
          expect(failure).type.toBe<UpstreamError.UpstreamError | CommandError.CommandTimeout>()
          return failure._tag === "CommandTimeout" || failure.phase === "connect"
        }
      },
      circuit: {
        key: (request) => {
          expect(request).type.toBe<Rewrite.ProxyRequest>()
          return request.upstream.origin
        },
        isFailure: (failure) => {
          expect(failure).type.toBe<UpstreamError.UpstreamError>()
          return !failure.timedOut
        }
      },
      rateLimit: {
        key: (request) => {
          expect(request).type.toBe<Rewrite.ProxyRequest>()
          return request.clientAddress ?? "nobody"
        },
        tokens: 2
      }
    })
  })

  it("the failure is exactly what can happen", () => {
    expect<Proxy.Failure["_tag"]>().type.toBe<
      "UpstreamError" | "PoolFull" | "QueueTimeout" | "PoolReentered" | "CircuitOpen" | "RateLimited" | "CommandTimeout"
    >()
  })
})

describe("options that make no sense are errors", () => {
  it("a route without a group, or an upstream", () => {
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { upstream: url })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api })
  })

  it("a key that nobody knows, a priority that is none, a rewrite of something else", () => {
    expect(Proxy.route<Api>).type.toBeCallableWith("/*", { group: Api, upstream: url, priority: "high" })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, priority: "highest" })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, timeOut: 1 })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, retry: { attempts: 3 } })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", {
      group: Api,
      upstream: url,
      retry: { statuses: ["5xx"] }
    })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, retry: true })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, rewrite: () => "/" })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("/*", { group: Api, upstream: url, fallback: () => "sorry" })
    expect(Proxy.route<Api>).type.not.toBeCallableWith("*/api", { group: Api, upstream: url })
  })
})

describe("a handler", () => {
  it("is an effect that answers, and needs its group, a transport, the request and its scope", () => {
    expect(Proxy.handler({ group: Api, upstream: url })).type.toBe<
      Effect.Effect<Response, never, Api | Transport.Transport | HttpServerRequest.HttpServerRequest | Scope.Scope>
    >()
  })

  it("needs and fails with what its effects do", () => {
    const handler = Proxy.handler({
      group,
      upstream: url,
      rewrite: (request) => Effect.as(Users, request),
      fallback: () => Effect.fail(new NoPage())
    })
    expect(handler).type.toBe<
      Effect.Effect<
        Response,
        NoPage,
        Transport.Transport | HttpServerRequest.HttpServerRequest | Scope.Scope | Users
      >
    >()
  })

  it("has found its group and its transport where it was made", () => {
    const make = Proxy.make({
      group: Api,
      upstream: url,
      rewrite: (request) => Effect.as(Users, request),
      fallback: () => Effect.fail(new NoPage())
    })
    expect(make).type.toBe<
      Effect.Effect<
        Effect.Effect<Response, NoPage, HttpServerRequest.HttpServerRequest | Scope.Scope | Users>,
        InvalidOptions.InvalidOptions,
        Api | Transport.Transport
      >
    >()
  })
})

describe("transports", () => {
  it("the one over HttpClient needs that", () => {
    expect(Transport.layerHttpClient).type.toBe<Layer.Layer<Transport.Transport, never, HttpClient.HttpClient>>()
  })

  it("the one in memory needs what its effect needs, but for the scope", () => {
    expect(Transport.layerMemory((request) => {
      expect(request).type.toBe<Transport.Request>()
      return Effect.as(Effect.all([Users, Effect.scope]), HttpServerResponse.empty())
    })).type.toBe<Layer.Layer<Transport.Transport, never, Users>>()
  })
})

describe("served", () => {
  it("a route's error is one that middleware can handle", () => {
    const route = Proxy.route("/*", { group, upstream, fallback: () => Effect.fail(new NoPage()) })
    expect(HttpRouter.toHttpEffect(route)).type.toBe<
      Effect.Effect<
        Effect.Effect<
          Response,
          NoPage | HttpServerError.HttpServerError,
          Scope.Scope | HttpServerRequest.HttpServerRequest
        >,
        never,
        Transport.Transport | Scope.Scope
      >
    >()
  })
})
