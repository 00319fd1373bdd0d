import { Group, InvalidOptions } from "@blackgate/core"
import { Forwarded, type HeaderList, Proxy, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Option } from "effect"
import { HttpEffect, HttpMiddleware, HttpServerRequest, HttpServerResponse } from "effect/http"
import { IpNetwork } from "effect/net"
import * as fc from "fast-check"
import { router, target } from "./requests.ts"

interface Told {
  /** What the upstream was told, as lines. */
  readonly fields: ReadonlyArray<string>
  /** What a rewrite was told. */
  readonly client: string | undefined
  readonly status: number
  readonly logs: ReadonlyArray<string>
}

interface Asked {
  /** Who asks; nobody with an address, if that is `undefined`. */
  readonly peer?: string | undefined
  /** The gateway's options, and the route's. */
  readonly gateway?: Forwarded.Options
  readonly route?: Forwarded.Options
  /** What the request goes through before. */
  readonly middleware?: typeof HttpMiddleware.logger
}

const written = /^(?:x-forwarded-.*|x_.*|forwarded|via): /i

/** Asks a gateway that trusts 10.0.0.0/8, unless it is told otherwise, and tells what became of the request. */
const ask = (
  headers: Record<string, string>,
  { gateway = { trust: ["10.0.0.0/8"], via: false }, middleware, route, ...asked }: Asked = {}
): Effect.Effect<Told> =>
  Effect.gen(function*() {
    let fields: ReadonlyArray<string> = []
    let client: string | undefined
    const logs: Array<string> = []
    const peer = "peer" in asked ? asked.peer : "10.0.0.1"
    const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
    const upstream = Transport.layerMemory(({ headers }) => {
      fields = Array.from({ length: headers.length / 2 }, (_, i) => `${headers[2 * i]}: ${headers[2 * i + 1]}`)
      return Effect.succeed(HttpServerResponse.empty())
    })
    const request = target("/", { headers }).modify({ remoteAddress: Option.fromUndefinedOr(peer) })
    const handler = Proxy.handler({
      group,
      upstream: "http://a.test",
      forwarded: route,
      rewrite: (request) => {
        client = request.clientAddress
        return request
      }
    })
    const { status } = yield* (middleware === undefined ? handler : middleware(handler)).pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, request),
      Effect.provide([
        upstream,
        Forwarded.layer(gateway),
        Logger.layer([Logger.make(({ message }) => logs.push(String(message)))])
      ])
    )
    return { fields: fields.filter((field) => written.test(field)), client, status, logs }
  }).pipe(Effect.scoped, Effect.orDie)

const forOf = ({ fields }: Told): string | undefined =>
  fields.find((field) => field.startsWith("x-forwarded-for: "))?.slice("x-forwarded-for: ".length)

const host = "gateway.test"
const spoofed = {
  host,
  "x-forwarded-for": "10.9.9.9",
  "x-forwarded-host": "evil.test",
  "x-forwarded-proto": "https",
  "x-forwarded-port": "444",
  "x-forwarded-prefix": "/evil",
  forwarded: "for=10.9.9.9;host=evil.test"
}

describe("9. a peer that is not trusted", () => {
  for (
    const [what, options] of [
      ["by default", { gateway: { via: false } }],
      ["which is what this machine is, too", { gateway: { via: false }, peer: "127.0.0.1" }],
      ["by its address", { peer: "11.0.0.1" }],
      ["because the route trusts nobody", { route: { trust: [] } }],
      ["because it has no address", { peer: undefined }],
      ["because what it has is no address", { peer: "localhost" }]
    ] satisfies ReadonlyArray<readonly [string, Asked]>
  ) {
    it.effect(`has its word replaced: ${what}`, () =>
      Effect.gen(function*() {
        const { client, fields } = yield* ask(spoofed, options)
        const peer = "peer" in options ? options.peer : "10.0.0.1"
        assert.deepStrictEqual(fields, [
          ...(peer === undefined ? [] : [`x-forwarded-for: ${peer}`]),
          `x-forwarded-host: ${host}`,
          "x-forwarded-proto: http"
        ])
        assert.strictEqual(client, peer)
      }))
  }

  it.effect("has it replaced in spellings that CGI takes for the same", () =>
    Effect.gen(function*() {
      const { fields } = yield* ask(
        { host, "X_Forwarded_For": "10.9.9.9", "x-forwarded_host": "evil.test", "x_kept": "1" },
        { peer: "11.0.0.1" }
      )
      assert.deepStrictEqual(fields, [
        "x_kept: 1",
        "x-forwarded-for: 11.0.0.1",
        `x-forwarded-host: ${host}`,
        "x-forwarded-proto: http"
      ])
    }))

  it.effect("is told as IPv4 where its socket speaks IPv6, and without its zone", () =>
    Effect.gen(function*() {
      assert.strictEqual(forOf(yield* ask({}, { peer: "::ffff:11.0.0.1" })), "11.0.0.1")
      assert.strictEqual((yield* ask({}, { peer: "::ffff:11.0.0.1" })).client, "11.0.0.1")
      assert.strictEqual(forOf(yield* ask({}, { peer: "fe80::1%eth0" })), "fe80::1")
    }))

  it.effect("a host that could be read as several is not told", () =>
    Effect.gen(function*() {
      for (const bad of ["a.test, evil.test", "a.test/x", "u@a.test", "\"a\"", "a b"]) {
        const { fields } = yield* ask({ host: bad }, { peer: "11.0.0.1", route: { send: "both" } })
        assert.notInclude(fields.join("\n"), "host", bad)
      }
    }))
})

describe("9. a trusted peer", () => {
  it.effect("has its word taken, and the hop from it added", () =>
    Effect.gen(function*() {
      const { client, fields } = yield* ask({
        host,
        "x-forwarded-for": "198.51.100.7, 10.0.0.2",
        "x-forwarded-host": "site.test, lb.test",
        "x-forwarded-proto": "https, http",
        "x-forwarded-port": "443, 8080",
        "x-forwarded-prefix": "/api"
      })
      assert.deepStrictEqual(fields, [
        "x-forwarded-for: 198.51.100.7, 10.0.0.2, 10.0.0.1",
        `x-forwarded-host: site.test, lb.test, ${host}`,
        "x-forwarded-proto: https, http, http",
        "x-forwarded-port: 443, 8080, 80",
        "x-forwarded-prefix: /api"
      ])
      assert.strictEqual(client, "198.51.100.7")
    }))

  it.effect("is believed the fields that it was said to write, and no others", () =>
    Effect.gen(function*() {
      const headers = {
        "x-forwarded-for": "1.1.1.1",
        "x-forwarded-host": "x.test",
        forwarded: "for=2.2.2.2;host=f.test"
      }
      const x = yield* ask(headers, { route: { send: "both" } })
      assert.deepStrictEqual(x.fields, [
        "x-forwarded-for: 1.1.1.1, 10.0.0.1",
        "x-forwarded-host: x.test",
        "x-forwarded-proto: http",
        "forwarded: for=1.1.1.1;host=x.test, for=10.0.0.1;proto=http"
      ])
      assert.strictEqual(x.client, "1.1.1.1")
      const forwarded = yield* ask(headers, { route: { send: "both", read: "forwarded" } })
      assert.deepStrictEqual(forwarded.fields, [
        "x-forwarded-for: 2.2.2.2, 10.0.0.1",
        "x-forwarded-host: f.test",
        "x-forwarded-proto: http",
        "forwarded: for=2.2.2.2;host=f.test, for=10.0.0.1;proto=http"
      ])
      assert.strictEqual(forwarded.client, "2.2.2.2")
    }))

  it.effect("keeps what Forwarded says more than an address: by, extensions, quoting", () =>
    Effect.gen(function*() {
      const { client, fields } = yield* ask(
        { host, forwarded: "For=\"[2001:db8::1]:4711\";by=_edge;secret=\"a,b;\\\"c\"; proto=https, for=10.0.0.2" },
        { gateway: { trust: ["10.0.0.0/8"], read: "forwarded", send: "forwarded", via: false } }
      )
      assert.deepStrictEqual(fields, [
        "forwarded: for=\"[2001:db8::1]:4711\";by=_edge;secret=\"a,b;\\\"c\";proto=https, for=10.0.0.2, " +
        `for=10.0.0.1;host=${host};proto=http`
      ])
      assert.strictEqual(client, "2001:db8::1")
    }))

  for (
    const [send, names] of [
      ["x-forwarded", ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]],
      ["forwarded", ["forwarded"]],
      ["both", ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"]],
      ["none", []]
    ] as const
  ) {
    it.effect(`or any other: ${send} is what is sent, in place of what came`, () =>
      Effect.gen(function*() {
        for (const peer of ["10.0.0.1", "11.0.0.1", undefined]) {
          const { fields } = yield* ask({ host, "x-forwarded-for": "1.1.1.1" }, { peer, route: { send } })
          const sent = fields.map((field) => field.split(":")[0])
          assert.deepStrictEqual(sent, names.filter((name) => peer !== undefined || name !== "x-forwarded-for"))
        }
      }))
  }

  it.effect("without an address is one if the list says so, and no hop of its own", () =>
    Effect.gen(function*() {
      const gateway: Forwarded.Options = { trust: ["unix:"], send: "both", via: false }
      const proxied = yield* ask(
        { host, "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https" },
        { peer: undefined, gateway }
      )
      assert.deepStrictEqual(proxied.fields, [
        "x-forwarded-for: 198.51.100.7",
        `x-forwarded-host: ${host}`,
        "x-forwarded-proto: https",
        "forwarded: for=198.51.100.7;proto=https"
      ])
      assert.strictEqual(proxied.client, "198.51.100.7")
      const direct = yield* ask({ host }, { peer: undefined, gateway })
      assert.deepStrictEqual(direct.fields, [
        `x-forwarded-host: ${host}`,
        "x-forwarded-proto: http",
        `forwarded: for=unknown;host=${host};proto=http`
      ])
      assert.isUndefined(direct.client)
      assert.deepStrictEqual((yield* ask(spoofed, { peer: "10.0.0.1", gateway })).client, "10.0.0.1")
    }))

  it.effect("has its word for nothing that is not an address: what is malformed goes, and all before it", () =>
    Effect.gen(function*() {
      for (
        const bad of [
          "evil",
          "1.2.3",
          "1.2.3.4.5",
          "256.1.1.1",
          "01.2.3.4",
          "1.2.3.4:99999",
          "1.2.3.4:",
          "[1.2.3.4]",
          "[::1",
          "::1]",
          ":::",
          "1::2::3",
          "[::1]x",
          "::1:80:",
          "_",
          "un known",
          "\"1.2.3.4\"",
          "1.2.3.4;x",
          "http://1.2.3.4",
          "<script>"
        ]
      ) {
        const told = yield* ask({ "x-forwarded-for": `1.1.1.1, ${bad}, 10.0.0.2` })
        assert.strictEqual(forOf(told), "10.0.0.2, 10.0.0.1", bad)
        assert.isUndefined(told.client, bad)
        const quoted = Forwarded.format([{ for: "1.1.1.1" }, { for: bad }, { for: "10.0.0.2" }])
        const other = yield* ask({ forwarded: quoted }, { route: { read: "forwarded", send: "forwarded" } })
        assert.deepStrictEqual(other.fields, ["forwarded: for=10.0.0.2, for=10.0.0.1;proto=http"], bad)
        assert.isUndefined(other.client, bad)
      }
    }))

  it.effect("whose Forwarded is malformed is believed the lines after that", () =>
    Effect.gen(function*() {
      for (
        const bad of [
          "for=1.1.1.1, for=\"",
          "for",
          "for =1.1.1.1",
          "for=1.1.1.1;for=2.2.2.2",
          "for=[::1]",
          "=x",
          "for=a b",
          "for=1.1.1.1;host=\"a/b\"",
          "for=1.1.1.1;proto=\"a:\"",
          "for=1.1.1.1;by=x y"
        ]
      ) {
        const { client, fields } = yield* ask({ forwarded: bad }, { route: { read: "forwarded", send: "forwarded" } })
        assert.deepStrictEqual(fields, ["forwarded: for=10.0.0.1;proto=http"], bad)
        assert.isUndefined(client, bad)
      }
    }))

  it.effect("has its host, scheme, port and prefix dropped where they are malformed", () =>
    Effect.gen(function*() {
      const { fields } = yield* ask({
        "x-forwarded-for": "1.1.1.1",
        "x-forwarded-host": "a.test/evil",
        "x-forwarded-proto": "java script",
        "x-forwarded-port": "65536",
        "x-forwarded-prefix": "//evil.test"
      })
      assert.deepStrictEqual(fields, ["x-forwarded-for: 1.1.1.1, 10.0.0.1", "x-forwarded-proto: http"])
      for (const prefix of ["api", "/a/../b", "/a?b", "https://x", "/a b"]) {
        const { fields } = yield* ask({ "x-forwarded-prefix": prefix })
        assert.notInclude(fields.join("\n"), "prefix", prefix)
      }
    }))

  it.effect("has empty items of its lists passed over", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        forOf(yield* ask({ "x-forwarded-for": ", 1.1.1.1 ,\t,10.0.0.2," })),
        "1.1.1.1, 10.0.0.2, 10.0.0.1"
      )
    }))

  it.effect("that tells of more than 32 hops is believed the last 32", () =>
    Effect.gen(function*() {
      const hops = Array.from({ length: 40 }, (_, i) => `10.1.0.${i}`)
      const told = yield* ask({ "x-forwarded-for": ["198.51.100.7", ...hops].join(", ") })
      assert.strictEqual(forOf(told), [...hops.slice(-32), "10.0.0.1"].join(", "))
      assert.isUndefined(told.client)
    }))

  it.effect("that another one has judged, Effect's own middleware, is taken at its word", () =>
    Effect.gen(function*() {
      const middleware = HttpMiddleware.xForwardedHeaders({
        trustedProxies: [IpNetwork.fromStringUnsafe("10.0.0.0/8")]
      })
      const told = yield* ask({ "x-forwarded-for": "6.6.6.6, 198.51.100.7" }, { middleware, gateway: { via: false } })
      assert.strictEqual(forOf(told), "198.51.100.7, 10.0.0.1")
      assert.strictEqual(told.client, "198.51.100.7")
    }))
})

describe("9. the client is the nearest that is not trusted", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined, string]> = [
    ["", "10.0.0.1", "nobody is told of"],
    ["198.51.100.7", "198.51.100.7", "one hop"],
    ["1.1.1.1, 198.51.100.7", "198.51.100.7", "what it says of others is worth nothing"],
    ["10.0.0.9, 198.51.100.7", "198.51.100.7", "what it says of others is worth nothing, trusted addresses too"],
    ["198.51.100.7, 10.0.0.3, 10.0.0.2", "198.51.100.7", "through several trusted ones"],
    ["10.0.0.3, 10.0.0.2", "10.0.0.3", "all are trusted: one of them asks itself"],
    ["198.51.100.7:4711", "198.51.100.7", "a port"],
    ["2001:DB8:0::1", "2001:db8::1", "IPv6, in its canonical form"],
    ["[2001:db8::1]", "2001:db8::1", "brackets"],
    ["[2001:db8::1]:4711", "2001:db8::1", "brackets and a port"],
    ["fe80::1%eth0", "fe80::1", "a zone"],
    ["[fe80::1%3]:80", "fe80::1", "a zone, brackets and a port"],
    ["::ffff:198.51.100.7", "198.51.100.7", "IPv4 inside of IPv6"],
    ["1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1", "IPv4 inside of IPv6 is trusted as what it is"],
    ["198.51.100.7, unknown", undefined, "a proxy that does not know"],
    ["198.51.100.7, _hidden", undefined, "a proxy that does not tell"],
    ["1.1.1.1, _hidden, 198.51.100.7", "198.51.100.7", "what is hidden beyond the client is no news"]
  ]
  for (const [value, client, why] of cases) {
    it.effect(`${why}: ${JSON.stringify(value)}`, () =>
      Effect.gen(function*() {
        const told = yield* ask({ "x-forwarded-for": value })
        assert.strictEqual(told.client, client)
        assert.notInclude(forOf(told), "%")
      }))
  }

  it.effect("a whole network, an address, IPv6, and IPv4 as IPv6 has it can be trusted", () =>
    Effect.gen(function*() {
      const asked = (peer: string, trust: Forwarded.Options["trust"]) =>
        Effect.map(ask({ "x-forwarded-for": "1.1.1.1" }, { peer, gateway: { trust } }), ({ client }) =>
          client === "1.1.1.1")
      assert.isTrue(yield* asked("127.0.0.1", ["127.0.0.1"]))
      assert.isFalse(yield* asked("127.0.0.2", ["127.0.0.1"]))
      assert.isTrue(yield* asked("::1", ["::1"]))
      assert.isTrue(yield* asked("fe80::5%eth0", ["fe80::/10"]))
      assert.isFalse(yield* asked("::1", ["127.0.0.0/8"]))
      assert.isTrue(yield* asked("::ffff:127.0.0.1", ["127.0.0.0/8"]))
      assert.isTrue(yield* asked("10.0.0.1", ["::ffff:10.0.0.0/104"]))
      assert.isTrue(yield* asked("10.0.0.1", ["0.0.0.0/0"]))
      assert.isTrue(yield* asked("10.0.0.1", [IpNetwork.fromStringUnsafe("10.0.0.0/8")]))
      assert.isTrue(yield* asked("10.0.0.1", [{ address: [10, 0, 0, 0], prefixLength: 8 }]))
    }))
})

describe("9. Via", () => {
  const via = ({ fields }: Told) => fields.filter((field) => field.startsWith("via: "))

  it.effect("is appended to, with the instance", () =>
    Effect.gen(function*() {
      const gateway = { instance: "one" }
      assert.deepStrictEqual(via(yield* ask({}, { gateway })), ["via: 1.1 blackgate-one"])
      assert.deepStrictEqual(via(yield* ask({ via: "1.0 fred, 1.1 p (x, y)" }, { gateway })), [
        "via: 1.0 fred, 1.1 p (x, y)",
        "via: 1.1 blackgate-one"
      ])
      assert.deepStrictEqual(via(yield* ask({}, { gateway, route: { via: "edge" } })), ["via: 1.1 edge-one"])
    }))

  it.effect("has an instance of the process by default, the same for each request", () =>
    Effect.gen(function*() {
      const first = via(yield* ask({}, { gateway: {} }))
      assert.match(first.join(), /^via: 1\.1 blackgate-[0-9a-f]{8}$/)
      assert.deepStrictEqual(via(yield* ask({}, { gateway: {} })), first)
    }))

  it.effect("is not sent, and finds no loop, if it is off", () =>
    Effect.gen(function*() {
      const told = yield* ask({ via: "1.1 blackgate-one" }, { gateway: { via: false, instance: "one" } })
      assert.deepStrictEqual(via(told), ["via: 1.1 blackgate-one"])
    }))

  it.effect("is not taken away by Connection", () =>
    Effect.gen(function*() {
      const told = yield* ask({ via: "1.1 fred", connection: "via" }, { gateway: { instance: "one" } })
      assert.deepStrictEqual(via(told), ["via: 1.1 fred", "via: 1.1 blackgate-one"])
    }))

  it.effect("a request that comes back is a 508, and a line in the log; the upstream sees nothing", () =>
    Effect.gen(function*() {
      const told = yield* ask({ via: "1.1 fred, 1.1 blackgate-one" }, { gateway: { instance: "one" } })
      assert.strictEqual(told.status, 508)
      assert.deepStrictEqual(told.fields, [])
      assert.deepStrictEqual(told.logs, ["a loop: the request has passed blackgate-one 1 times before"])
    }))

  it.effect("a request may pass as often as maxPasses says", () =>
    Effect.gen(function*() {
      const gateway = { instance: "one", maxPasses: 2 }
      const once = "1.1 blackgate-one"
      assert.strictEqual((yield* ask({ via: once }, { gateway })).status, 204)
      assert.strictEqual(
        (yield* ask({ via: `${once}, HTTP/1.1 fred,2.0 blackgate-one (again)` }, { gateway })).status,
        508
      )
    }))

  it.effect("another gateway, and a comment, are no pass", () =>
    Effect.gen(function*() {
      const gateway = { instance: "one" }
      for (
        const other of [
          "1.1 blackgate-two",
          "1.1 blackgate-one2",
          "1.1 xblackgate-one",
          "blackgate-one",
          "1.1 a (b, 1.1 blackgate-one)",
          "1.1 a (b (c), 1.1 blackgate-one, \\))",
          "1.1 blackgate"
        ]
      ) {
        assert.strictEqual((yield* ask({ via: other }, { gateway })).status, 204, other)
      }
    }))
})

// Were any of it read again for each of its parts, this would not be over before the test's time is.
it.effect("9. what is long and odd is read once", () =>
  Effect.gen(function*() {
    const long = 100_000
    for (const odd of [":", " ", "(\\(", ",", "\"", ";", "for=\"\\", "[", "%", "a=", "/..", "1.1 blackgate-one ("]) {
      const value = `${odd.repeat(long)}x`
      const names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "forwarded", "via"]
      const headers = Object.fromEntries(names.map((name) => [name, value]))
      for (const read of ["x-forwarded", "forwarded"] as const) {
        yield* ask(headers, { gateway: { trust: ["10.0.0.0/8"], read, instance: "one" } })
      }
    }
  }))

describe("options that make no sense are refused by name", () => {
  const layer = (options: unknown) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Forwarded.layer(options as Forwarded.Options))))
      if (Exit.isSuccess(exit)) return undefined
      const defect = Cause.squash(exit.cause)
      return defect instanceof InvalidOptions.InvalidOptions ? defect.message : String(defect)
    })

  for (
    const [options, named] of [
      [{ trust: ["10.0.0.1/8"] }, "Forwarded.layer: trust.0"],
      [{ trust: ["10.0.0.0/8", "proxy.test"] }, "Forwarded.layer: trust.1"],
      [{ trust: ["10.0.0.0/33"] }, "trust.0"],
      [{ trust: [null] }, "trust.0"],
      [{ trust: "10.0.0.0/8" }, "trust"],
      [{ read: "both" }, "read"],
      [{ send: "all" }, "send"],
      [{ via: "a b" }, "via"],
      [{ via: "" }, "via"],
      [{ via: true }, "via"],
      [{ instance: "a,b" }, "instance"],
      [{ maxPasses: 0 }, "maxPasses"],
      [{ trusted: [] }, "trusted"]
    ] as const
  ) {
    it.effect(JSON.stringify(options), () =>
      Effect.gen(function*() {
        assert.include(yield* layer(options), named)
      }))
  }

  it.effect("of a route, too", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const options = { group, upstream: "http://a.test", forwarded: { trust: ["nobody"] } }
      assert.throws(() => Proxy.handler(options), /forwarded\.trust\.0/)
      const exit = yield* Effect.exit(router(
        Proxy.route("/*", options).pipe(
          Layer.provide(Transport.layerMemory(() => Effect.succeed(HttpServerResponse.empty())))
        )
      ))
      assert.isTrue(Exit.isFailure(exit))
    }))
})

describe("a route", () => {
  it.effect("has the options that its layer was given, but for its own", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const seen: Array<HeaderList.HeaderList> = []
      const routes = Layer.mergeAll(
        Proxy.route("/a", { group, upstream: "http://a.test" }),
        Proxy.route("/b", { group, upstream: "http://a.test", forwarded: { send: "none" } })
      )
      const answer = yield* router(routes.pipe(
        Layer.provide(Forwarded.layer({ send: "forwarded", via: "edge", instance: "one" })),
        Layer.provide(
          Transport.layerMemory(({ headers }) => (seen.push(headers), Effect.succeed(HttpServerResponse.empty())))
        )
      ))
      for (const path of ["/a", "/b"]) yield* Effect.scoped(answer(target(path)))
      assert.deepStrictEqual(seen, [
        ["forwarded", "for=unknown;proto=http", "via", "1.1 edge-one"],
        ["via", "1.1 edge-one"]
      ])
    }))

  it.effect("of a web handler has no peer, and says the scheme of the URL", () =>
    Effect.gen(function*() {
      let sent: HeaderList.HeaderList = []
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const handler = Proxy.handler({ group, upstream: "http://a.test", forwarded: { send: "forwarded", via: false } })
      const fetch = HttpEffect.toWebHandler(Effect.provide(
        handler,
        yield* Layer.build(Transport.layerMemory(({ headers }) => {
          sent = headers
          return Effect.succeed(HttpServerResponse.empty())
        }))
      ))
      yield* Effect.promise(() => fetch(new Request("https://gateway.test/", { headers: { host } })))
      assert.deepStrictEqual(sent, ["forwarded", `for=unknown;host=${host};proto=https`])
    }))
})

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9a-z]{1,8}$/)
const text = fc.stringMatching(/^[\t -~\u0080-\u00ff]{0,12}$/)

describe("Forwarded.parse and Forwarded.format (RFC 7239)", () => {
  it.each([
    ["for=\"_gazonk\"", [{ for: "_gazonk" }]],
    ["For=\"[2001:db8:cafe::17]:4711\"", [{ for: "[2001:db8:cafe::17]:4711" }]],
    ["for=192.0.2.60;proto=http;by=203.0.113.43", [{ for: "192.0.2.60", proto: "http", by: "203.0.113.43" }]],
    ["for=192.0.2.43, for=198.51.100.17", [{ for: "192.0.2.43" }, { for: "198.51.100.17" }]],
    ["for=a ;\tproto=b ,, ;by=c;,", [{ for: "a", proto: "b" }, { by: "c" }]],
    ["for=\"\"", [{ for: "" }]],
    ["", []]
  ])("%s", (value, elements) => {
    assert.deepStrictEqual(Forwarded.parse(value)?.map((element) => ({ ...element })), elements)
  })

  it.each([
    "for",
    "for=",
    "=a",
    "for =a",
    "for= a",
    "for=\"a",
    "for=a\"b\"",
    "for=a;for=b",
    "for=a b=c",
    "for=[::1]",
    "for=\"a\u0000\"",
    "for=a;;b c"
  ])(
    "%s is malformed",
    (value) => {
      assert.isUndefined(Forwarded.parse(value))
    }
  )

  it("what is written is read as it was", () => {
    fc.assert(fc.property(
      fc.array(fc.dictionary(token, text, { minKeys: 1, maxKeys: 4 }), { maxLength: 5 }),
      (elements) => {
        const read = Forwarded.parse(Forwarded.format(elements))
        assert.deepStrictEqual(read?.map((element) => Object.entries(element)), elements.map((e) => Object.entries(e)))
      }
    ))
  })

  it("what is read is written so that it is read the same, whatever it was", () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-c=;," \t\\[\]:]{0,20}$/), (value) => {
      const read = Forwarded.parse(value)
      if (read !== undefined) assert.deepStrictEqual(Forwarded.parse(Forwarded.format(read)), read)
    }))
  })
})

describe("9. a spoofed chain", () => {
  const trusted = fc.integer({ min: 0, max: 255 }).map((n) => `10.0.0.${n}`)
  const client = fc.oneof(fc.ipV4(), fc.ipV6()).filter((ip) => !/^10\.|^(?:0*:)*(?:ffff|[0-9.]*$)/i.test(ip))
  const junk = fc.oneof(
    fc.stringMatching(/^[ -~]{0,30}$/),
    fc.array(fc.oneof(trusted, fc.constantFrom("unknown", "_x", "\"", "for=", "[::1]", ";", "\\")), { maxLength: 50 })
      .map((parts) => parts.join(", "))
  )
  const proxies = fc.array(trusted, { maxLength: 5 })
  const canonical = (ip: string) =>
    ask({}, { peer: "10.0.0.1", route: {} }).pipe(Effect.andThen(ask({ "x-forwarded-for": ip })))

  const holds = (property: fc.IAsyncProperty<[string, string, Array<string>]>) =>
    Effect.promise(() => fc.assert(property, { numRuns: 300 }))

  it.effect("never makes anybody but the client the client: X-Forwarded-For", () =>
    holds(fc.asyncProperty(junk, client, proxies, async (said, ip, through) => {
      const told = await Effect.runPromise(ask({ "x-forwarded-for": [said, ip, ...through].join(", ") }))
      const expected = await Effect.runPromise(canonical(ip))
      assert.strictEqual(told.client, expected.client)
      assert.isDefined(told.client)
      assert.isFalse(told.client!.startsWith("10."))
    })))

  it.effect("never makes anybody but the client the client: Forwarded, though it may hide it", () =>
    holds(fc.asyncProperty(junk, client, proxies, async (said, ip, through) => {
      const honest = Forwarded.format([ip, ...through].map((ip) => ({ for: ip.includes(":") ? `[${ip}]` : ip })))
      const route: Forwarded.Options = { read: "forwarded" }
      const told = await Effect.runPromise(ask({ forwarded: `${said}, ${honest}` }, { route }))
      const expected = await Effect.runPromise(canonical(ip))
      if (told.client !== undefined) assert.strictEqual(told.client, expected.client)
    })))

  it.effect("of an untrusted peer changes nothing", () =>
    holds(fc.asyncProperty(junk, client, proxies, async (said, ip, through) => {
      const value = [said, ip, ...through].join(", ")
      const headers = { "x-forwarded-for": value, forwarded: value }
      const gateway: Forwarded.Options = { trust: ["10.0.0.0/8"], send: "both", via: false }
      const told = await Effect.runPromise(ask(headers, { peer: "11.0.0.1", gateway }))
      assert.deepStrictEqual(told.fields, [
        "x-forwarded-for: 11.0.0.1",
        "x-forwarded-proto: http",
        "forwarded: for=11.0.0.1;proto=http"
      ])
      assert.strictEqual(told.client, "11.0.0.1")
    })))
})
