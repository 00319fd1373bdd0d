import { Group } from "@blackgate/core"
import { Proxy, type Transport } from "@blackgate/http"
import type { Layer } from "effect"
import type { HttpRouter } from "effect/http"
import { describe, expect, it } from "tstyche"

class Api extends Group.Service<Api>()("api.v1") {}
class Sockets extends Group.Service<Sockets>()("api.v1.sockets") {}

declare const group: Group.Group

const upstream = "http://intra.service.com"

describe("upgrade", () => {
  it("a group of their own is needed by the route", () => {
    expect(Proxy.route("/*", { group: Api, upstream, upgrade: { group: Sockets } })).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Sockets | Transport.Transport>
    >()
  })

  it("and not if it is a value, or there is none", () => {
    expect(Proxy.route("/*", { group: Api, upstream, upgrade: { group } })).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>
    >()
    expect(Proxy.route("/*", { group: Api, upstream, upgrade: false })).type.toBe<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Api | Transport.Transport>
    >()
  })

  it("origins are words, or a list", () => {
    expect<"any" | "same" | ReadonlyArray<string> | undefined>().type.toBe<
      NonNullable<Exclude<Proxy.Options["upgrade"], boolean>>["origins"]
    >()
  })
})
