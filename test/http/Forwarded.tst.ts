import { Group } from "@blackgate/core"
import { Forwarded, Proxy, type Rewrite } from "@blackgate/http"
import type { Context, Layer } from "effect"
import { IpNetwork } from "effect/net"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api.v1") {}

test("the gateway's options are a layer that needs nothing and provides nothing that is asked for", () => {
  expect(Forwarded.layer({})).type.toBe<Layer.Layer<never>>()
  expect(Forwarded.Defaults).type.toBe<Context.Reference<Forwarded.Options>>()
})

test("networks are text, Effect's own, or parts", () => {
  expect(Forwarded.layer).type.toBeCallableWith({
    trust: ["10.0.0.0/8", "unix:", IpNetwork.fromStringUnsafe("::/0"), { address: "10.0.0.0", prefixLength: 8 }]
  })
  expect(Forwarded.layer).type.not.toBeCallableWith({ trust: [1] })
  expect(Forwarded.layer).type.not.toBeCallableWith({ trust: "10.0.0.0/8" })
})

test("Via has a name or is off, and the other options are of a few words", () => {
  expect(Forwarded.layer).type.toBeCallableWith({ via: false, read: "forwarded", send: "both", maxPasses: 2 })
  expect(Forwarded.layer).type.not.toBeCallableWith({ via: true })
  expect(Forwarded.layer).type.not.toBeCallableWith({ read: "both" })
  expect(Forwarded.layer).type.not.toBeCallableWith({ send: "all" })
  expect(Forwarded.layer).type.not.toBeCallableWith({ trusted: [] })
})

test("a route has options of its own", () => {
  const route = { group: Api, upstream: "http://intra.service.com" }
  expect(Proxy.handler).type.toBeCallableWith({ ...route, forwarded: { send: "none" } })
  expect(Proxy.handler).type.not.toBeCallableWith({ ...route, forwarded: { send: "all" } })
})

test("a rewrite knows the client's address, if anybody does", () => {
  expect<Rewrite.ProxyRequest["clientAddress"]>().type.toBe<string | undefined>()
})

test("what is read of Forwarded may be malformed", () => {
  expect(Forwarded.parse("")).type.toBe<ReadonlyArray<Forwarded.Element> | undefined>()
  expect(Forwarded.format([{ for: "_x", secret: "y" }])).type.toBe<string>()
})
