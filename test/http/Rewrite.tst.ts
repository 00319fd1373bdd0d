import { HeaderList, Rewrite, type Upstream } from "@blackgate/http"
import { type Config, Context, Data, Effect } from "effect"
import { describe, expect, it } from "tstyche"

class Users extends Context.Service<Users, string>()("Users") {}
class NoUser extends Data.TaggedError("NoUser")<{}> {}

declare const request: Rewrite.ProxyRequest
declare const upstream: Upstream.Upstream
declare const token: Effect.Effect<string, Config.ConfigError>

describe("a rewrite", () => {
  it("is a function of the request, or an effect of it", () => {
    expect<Rewrite.Rewrite>().type.toBeAssignableFrom((request: Rewrite.ProxyRequest) => request)
    expect<Rewrite.Rewrite>().type.toBeAssignableFrom((request: Rewrite.ProxyRequest) => Effect.succeed(request))
    expect<Rewrite.Rewrite>().type.not.toBeAssignableFrom(() => Effect.fail(new NoUser()))
    expect<Rewrite.Rewrite>().type.not.toBeAssignableFrom((request: Rewrite.ProxyRequest) => request.path)
  })

  it("has its result at once, if it is one of these", () => {
    expect(Rewrite.stripPrefix("/api")(request)).type.toBe<Rewrite.ProxyRequest>()
    expect(Rewrite.addPrefix("/api")(request)).type.toBe<Rewrite.ProxyRequest>()
    expect(Rewrite.mapPath((path) => path.slice(1))(request)).type.toBe<Rewrite.ProxyRequest>()
    expect(Rewrite.setHeader("a", "b")(request)).type.toBe<Rewrite.ProxyRequest>()
    expect(Rewrite.removeHeader("a")(request)).type.toBe<Rewrite.ProxyRequest>()
    expect(Rewrite.to(upstream)(request)).type.toBe<Rewrite.ProxyRequest>()
  })
})

describe("all", () => {
  it("fails with what any of them fails with, and needs what any of them needs", () => {
    const rewrite = Rewrite.all(
      Rewrite.stripPrefix("/api"),
      (request) => Effect.map(token, (token) => ({ ...request, headers: HeaderList.set(request.headers, "a", token) })),
      (request) => Effect.as(Users, request),
      () => Effect.fail(new NoUser())
    )
    expect(rewrite).type.toBe<
      (request: Rewrite.ProxyRequest) => Effect.Effect<Rewrite.ProxyRequest, Config.ConfigError | NoUser, Users>
    >()
  })

  it("of plain ones neither fails nor needs anything", () => {
    expect(Rewrite.all(Rewrite.stripPrefix("/api"), Rewrite.addPrefix("/v1"))(request)).type.toBe<
      Effect.Effect<Rewrite.ProxyRequest>
    >()
  })
})
