import { Group } from "@blackgate/core"
import { Proxy, Rewrite, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import * as fc from "fast-check"
import { type Ask, router, target } from "./requests.ts"

const base = "/base"

type Routes = Parameters<typeof Proxy.routes<never>>[0]

/** How routes come to be found: by Effect's router, or by a table behind it. */
const finders = {
  "by the router": (all: Routes) => Proxy.routes(all),
  "by a table": (all: Routes) => Proxy.table("/*", all)
}

/** The routes of `docs/paths.md`, which answer with their name and with what the upstream would get. */
const routes = (find: (all: Routes) => ReturnType<typeof Proxy.routes<never>>) =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
    const route = (name: string, path: `/${string}`) => (
      { path, group, upstream: `http://a.test${base}`, rewrite: Rewrite.setHeader("X-Route", name) }
    )
    const echo = Transport.layerMemory(({ headers, target }) =>
      Effect.succeed(HttpServerResponse.empty({
        status: 204,
        headers: { "x-route": headers[headers.indexOf("X-Route") + 1]!, "x-target": target }
      }))
    )
    return yield* router(
      find([route("site", "/*"), route("api", "/api/*"), route("admin", "/api/admin/*")]).pipe(Layer.provide(echo))
    )
  })

interface Outcome {
  readonly route: string
  readonly forwarded: string
}

/** Where a target goes; `undefined` if it is refused. */
const outcome = async (ask: Ask, url: string): Promise<Outcome | undefined> => {
  const response = await Effect.runPromise(
    Effect.catch(Effect.scoped(ask(target(url))), () => Effect.succeed(undefined))
  )
  if (response === undefined) return undefined // the router has no route for it
  if (response.status !== 204) {
    assert.strictEqual(response.status, 400)
    return undefined
  }
  return { route: response.headers["x-route"]!, forwarded: response.headers["x-target"]! }
}

const decodeOnce = (text: string): string =>
  text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** How an upstream might read a path: each step, or not. */
const steps: ReadonlyArray<(path: string) => string> = [
  decodeOnce,
  (path) => path.replaceAll("\\", "/"),
  (path) => path.split("/").map((segment) => segment.split(";")[0]).join("/"),
  (path) => path.split(/[?#]/)[0]!,
  (path) => path.replaceAll(/\/+/g, "/"),
  (path) => path.toLowerCase()
]
const readings = Array.from(
  { length: 2 ** steps.length },
  (_, bits) => (path: string) => steps.reduce((path, step, i) => (bits >> i) % 2 === 1 ? step(path) : path, path)
)

/** The segments of a path without dots; `undefined` if it leaves its root. */
const walk = (path: string): ReadonlyArray<string> | undefined => {
  const at: Array<string> = []
  for (const segment of path.split("/").slice(1)) {
    if (segment === "..") {
      if (at.pop() === undefined) return undefined
    } else if (segment !== ".") at.push(segment)
  }
  return at
}

const routeOf = ([first, second]: ReadonlyArray<string>): string =>
  first === "api" ? second === "admin" ? "admin" : "api" : "site"

/** Targets of whatever paths are mistaken for each other. */
const tokens = [
  "/",
  "/",
  "/",
  ".",
  "..",
  "%2e",
  "%2E%2e",
  ".%2e",
  "%2f",
  "%2F",
  "%5c",
  "\\",
  ";",
  ";v=1",
  "%3b",
  "%3f",
  "%23",
  "a",
  "b",
  "api",
  "API",
  "admin",
  "%61pi",
  "%61dmin",
  "ad",
  "min",
  "%00",
  "%0d%0a",
  "%",
  "%2",
  "%zz",
  "%25",
  "%252e",
  "@",
  "http:",
  "http://b.test",
  "?",
  "#",
  "~",
  "\u00e9"
]
const nasty = fc.array(fc.constantFrom(...tokens), { minLength: 1, maxLength: 9 }).map((parts) => `/${parts.join("")}`)
/** The same, but nearer to what is let through. */
const segment = fc.constantFrom(
  "a",
  "api",
  "API",
  "admin",
  "..",
  ".",
  "",
  "%2e%2e",
  "%61pi",
  "a%2fb",
  "a;v",
  "api;v",
  "admin;v",
  "admin%3fv",
  ";",
  "..;",
  "a%5cb"
)
const near = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => `/${segments.join("/")}`)
const below = fc.tuple(fc.constantFrom("/api", "/api/admin", "/a"), near).map((parts) => parts.join(""))
const spellings = fc.oneof(nasty, near, below)

for (const [name, find] of Object.entries(finders)) {
  describe(`13, 14, 15. whatever the spelling, ${name}`, { timeout: 60_000 }, () => {
    const check = (property: (ask: Ask) => fc.IAsyncProperty<unknown>, numRuns: number) =>
      Effect.gen(function*() {
        const ask = yield* routes(find)
        yield* Effect.promise(() => fc.assert(property(ask) as fc.IAsyncProperty<[unknown]>, { numRuns }))
      })

    it.live("nothing that is forwarded leaves the base path, in any reading", () =>
      check((ask) =>
        fc.asyncProperty(spellings, async (url) => {
          const found = await outcome(ask, url)
          if (found === undefined) return
          const path = found.forwarded.split("?")[0]!
          assert.isTrue(path.startsWith(`${base}/`), path)
          assert.notMatch(path, /[#\s]/)
          const below = path.slice(base.length)
          for (const read of readings) assert.isDefined(walk(read(below)), `${url} -> ${below}, read as ${read(below)}`)
        }), 1500))

    it.live("whatever is forwarded belongs to the route that forwards it, in any reading", () =>
      check((ask) =>
        fc.asyncProperty(spellings, async (url) => {
          const found = await outcome(ask, url)
          if (found === undefined) return
          const below = found.forwarded.split("?")[0]!.slice(base.length)
          for (const read of readings) {
            assert.strictEqual(routeOf(walk(read(below))!), found.route, `${url} -> ${below}, read as ${read(below)}`)
          }
        }), 1500))

    it.live("enough of it is forwarded for this to mean something", () =>
      Effect.gen(function*() {
        const ask = yield* routes(find)
        const sample = fc.sample(spellings, { numRuns: 1000, seed: 1 })
        const found = yield* Effect.promise(() => Promise.all(sample.map((url) => outcome(ask, url))))
        for (const route of ["site", "api", "admin", undefined]) {
          assert.isAbove(found.filter((each) => each?.route === route).length, 10, route)
        }
      }))

    it.live("a plain path is forwarded byte for byte", () => {
      // What a segment may hold (RFC 3986, section 3.3) but `%` and `;`.
      const pchar = fc.constantFrom(..."abzABZ019-._~!$&'()*+,=:@")
      const plain = fc.string({ unit: pchar, minLength: 1, maxLength: 8 }).filter((segment) =>
        !/^\.\.?$/.test(segment) && segment.toLowerCase() !== "api"
      )
      return check((ask) =>
        fc.asyncProperty(fc.array(plain, { maxLength: 5 }), async (segments) => {
          const path = `/${segments.join("/")}`
          assert.deepStrictEqual(await outcome(ask, path), { route: "site", forwarded: base + path })
          assert.deepStrictEqual(await outcome(ask, `/api${path}`), { route: "api", forwarded: `${base}/api${path}` })
        }), 500)
    })

    it.live("14. a query is forwarded byte for byte", () => {
      const visible = fc.integer({ min: 0x21, max: 0xff }).filter((code) => code < 0x7f || code > 0x9f)
      const query = fc.string({ unit: visible.map((code) => String.fromCharCode(code)), maxLength: 40 })
      return check((ask) =>
        fc.asyncProperty(query, async (query) => {
          assert.deepStrictEqual(await outcome(ask, `/api/a?${query}`), {
            route: "api",
            forwarded: `${base}/api/a?${query}`
          })
        }), 1000)
    })
  })
}

// It reads dots as they are forwarded, which the router does not: it refuses most paths that have some.
it.live(
  "13. a table forwards what the router does, and refuses what that does but for dots",
  () =>
    Effect.gen(function*() {
      const byRouter = yield* routes(finders["by the router"])
      const byTable = yield* routes(finders["by a table"])
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(spellings, async (url) => {
            const expected = await outcome(byRouter, url)
            if (expected === undefined && /\.|%2e/i.test(url)) return
            assert.deepStrictEqual(await outcome(byTable, url), expected, url)
          }),
          { numRuns: 3000 }
        )
      )
    }),
  60_000
)

describe("13. a route's rewrite is not sidestepped by a parameter that the router takes for too long", () => {
  for (const maxParamLength of [undefined, 10]) {
    it.live(`with a limit of ${maxParamLength ?? "100, its own"}`, () =>
      Effect.gen(function*() {
        const limit = maxParamLength ?? 100
        const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
        const route = (name: string, pattern: `/${string}`) =>
          Proxy.route(pattern, { group, upstream: "http://a.test", rewrite: Rewrite.setHeader("X-Route", name) })
        const echo = Transport.layerMemory(({ headers }) =>
          Effect.succeed(HttpServerResponse.empty({
            status: 204,
            headers: { "x-route": headers[headers.indexOf("X-Route") + 1]!, "x-target": "" }
          }))
        )
        const ask = yield* router(
          Layer.mergeAll(
            route("site", "/*"),
            route("user", "/users/:id"),
            route("item", "/a-:x/b")
          )
            .pipe(Layer.provide(echo)),
          maxParamLength === undefined ? {} : { maxParamLength }
        )
        const found = (url: string) => Effect.map(Effect.promise(() => outcome(ask, url)), (it) => it?.route)
        const long = "x".repeat(limit + 1)
        assert.strictEqual(yield* found(`/users/${long.slice(1)}`), "user")
        assert.strictEqual(yield* found(`/users/${long}`), undefined)
        assert.strictEqual(yield* found(`/a-${long.slice(1)}/b`), "item")
        assert.strictEqual(yield* found(`/a-${long}/b`), undefined)
        assert.strictEqual(yield* found(`/${long}/d`), "site")
        assert.strictEqual(yield* found(`/users/${long}/${long}`), "site")
      }))
  }
})

it.live("20. HEAD takes a GET route that has a parameter, however it is spelled", () =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
    const ask = yield* router(
      Proxy.route("/a/:id", { group, upstream: "http://a.test", method: "GET" }).pipe(
        Layer.provide(Transport.layerMemory(() => Effect.succeed(HttpServerResponse.empty({ status: 204 }))))
      )
    )
    for (const path of ["/a/1", "/a/%20"]) {
      const { status } = yield* Effect.scoped(ask(target(path, { method: "HEAD" })))
      assert.strictEqual(status, 204, path)
    }
  }))

describe("13. the patterns of routes", () => {
  const forwards = (pattern: `/${string}` | "*", paths: Record<string, boolean>, find = finders["by the router"]) =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
      const ask = yield* router(
        find([{ path: pattern, group, upstream: "http://a.test" }]).pipe(
          Layer.provide(Transport.layerMemory(({ target }) => Effect.succeed(HttpServerResponse.text(target))))
        )
      )
      for (const [path, expected] of Object.entries(paths)) {
        const found = yield* Effect.promise(() =>
          Effect.runPromise(
            Effect.scoped(ask(target(path))).pipe(
              Effect.map(({ status }) => status === 200),
              Effect.catch(() => Effect.succeed(false))
            )
          )
        )
        assert.strictEqual(found, expected, `${pattern} takes ${path}`)
      }
    })

  for (const [name, find] of Object.entries(finders)) {
    it.live(`a literal path, found ${name}`, () =>
      forwards("/a/b", { "/a/b": true, "/A/b": false, "/a//b": false, "/a/b/": false, "/a": false }, find))
    it.live(`a wildcard, found ${name}`, () =>
      forwards("/a/*", { "/a": true, "/a/": true, "/a/b/c": true, "/ab": false, "/A/b": false }, find))
    it.live(`everything, found ${name}`, () => forwards("/*", { "/": true, "/a/B//c/": true }, find))
  }
  it.live("everything, in short", () => forwards("*", { "/": true, "/a/B//c/": true }))
  it.live("a parameter", () => forwards("/a/:id/c", { "/a/B/c": true, "/a/B/C": false, "/a//c": false, "/a/b": false }))
  it.live("a parameter, and a wildcard", () =>
    forwards("/:a/b/*", { "/x/b": true, "/x/b/c/d": true, "/x/B/c": false, "/b/c": false }))
  it.live("an optional parameter", () =>
    forwards("/a/:id?", { "/a": true, "/a/1": true, "/A/1": false, "/a/1/2": false }))
  it.live("a parameter with a pattern", () =>
    forwards("/a/:id(^\\d+$)", { "/a/1": true, "/a/x": false, "/A/1": false }))
  it.live("a parameter after a literal", () => forwards("/a/user-:id", { "/a/user-1": true, "/a/USER-1": false }))
  it.live("two parameters of one segment", () =>
    forwards("/a/:x-:y", { "/a/1-2": true, "/a/1": false, "/A/1-2": false }))
  it.live("an escaped colon", () => forwards("/a::b/:id", { "/a:b/1": true, "/A:b/1": false, "/a%3Ab/1": false }))
  it.live("a wildcard within a segment", () =>
    forwards("/a*", { "/a": true, "/abc": true, "/abc/d": true, "/b": false, "/Abc": false }))
})
