import { RequestPath } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { parse } from "../../packages/gateway/src/Config.ts"
import { Lookup } from "../../packages/gateway/src/internal/Lookup.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"

const nothing = () => ""

/** Whom a config gives a request to: `GET example.com/a?b`, and headers. */
const lookup = (text: string) =>
  Effect.gen(function*() {
    const loaded = yield* parse(text, { file: "blackgate.yml", env: {}, readFile: nothing })
    const found = new Lookup(yield* planOf(loaded, nothing), ({ name }) => name)
    return (request: string, headers: Record<string, string> = {}) => {
      const [, method = "", host = "", target = "/"] = /^(\S+) ([^/]*)(.*)$/.exec(request) ?? []
      const read = RequestPath.parse(target)
      const given: Record<string, string> = { host, ...headers }
      return read === undefined ? "unreadable" : found.find(read, method, (name) => given[name]) ?? "nobody"
    }
  })

const routes = (...matches: ReadonlyArray<string>) =>
  `routes:\n${
    matches.map((match, i) => `  - { name: ${"abcdefgh"[i]}, upstream: "http://a", match: ${match} }`).join("\n")
  }\n`

const rows = (
  name: string,
  text: string,
  expected: ReadonlyArray<readonly [request: string, route: string, headers?: Record<string, string>]>
) => {
  it.effect(name, () =>
    Effect.gen(function*() {
      const find = yield* lookup(text)
      assert.deepStrictEqual(
        expected.map((row) => [row[0], find(row[0], row[2])]),
        expected.map(([request, route]) => [request, route])
      )
    }))
}

describe("RouteIndex", () => {
  rows(
    "an exact path goes before a regular expression, that before a prefix, and a longer prefix before a shorter one",
    routes(
      "{ path: / }",
      "{ path: /a }",
      "{ path: /a/b }",
      "{ path: { regex: '/a/b/c.*' } }",
      "{ path: { exact: /a/b/cd } }"
    ),
    [
      ["GET x/", "a"],
      ["GET x/z", "a"],
      ["GET x/a", "b"],
      ["GET x/a/", "b"],
      ["GET x/ab", "a"],
      ["GET x/a/b/x", "c"],
      ["GET x/a/b/c", "d"],
      ["GET x/a/b/cd", "e"],
      ["GET x/a/b/cd/", "d"],
      ["GET x/A", "a"]
    ]
  )

  rows(
    "a host goes before a wildcard, a longer wildcard before a shorter one, and what matches none has the rest",
    routes(
      "{ path: /a }",
      "{ host: '*.example.com' }",
      "{ host: '*.b.example.com' }",
      "{ host: [a.example.com, c.example.org] }"
    ),
    [
      ["GET a.example.com/", "d"],
      ["GET A.Example.COM.:8080/", "d"],
      ["GET c.example.org/", "d"],
      ["GET z.example.com/", "b"],
      ["GET y.z.example.com/", "b"],
      ["GET z.b.example.com/", "c"],
      ["GET example.com/", "nobody"],
      ["GET example.com/a", "a"],
      ["GET a.example.com/a", "d"]
    ]
  )

  rows(
    "of one path a method goes before none, more headers before fewer, more of the query before less, then the order of the file",
    routes(
      "{ path: /p }",
      "{ path: /p, query: { q: '1' } }",
      "{ path: /p, headers: { x-a: '1' } }",
      "{ path: /p, headers: { X-A: '1', x-b: { present: true } } }",
      "{ path: /p, method: [POST, get] }",
      "{ path: /p, method: DELETE }",
      "{ path: /p, query: { r: { regex: '[0-9]+' } } }"
    ),
    [
      ["PUT x/p", "a"],
      ["PUT x/p?q=1", "b"],
      ["PUT x/p?q=2", "a"],
      ["PUT x/p?r=12&q=1", "b"],
      ["PUT x/p?r=12", "g"],
      ["PUT x/p?r=1a", "a"],
      ["PUT x/p?q=1", "c", { "x-a": "1" }],
      ["PUT x/p", "d", { "x-a": "1", "x-b": "" }],
      ["GET x/p", "e", { "x-a": "1" }],
      ["HEAD x/p", "e"],
      ["DELETE x/p", "f"]
    ]
  )

  rows(
    "what no route matches goes to the first proxy whose expression matches the whole path",
    `proxies:
      - { name: one, upstream_url: "http://a", request_path_regex: "/a" }
      - { name: two, upstream_url: "http://a", request_path_regex: "/a.*" }
      - { name: three, upstream_url: "http://a", request_path_regex: "/a/b|/c" }
routes:
  - { name: first, upstream: "http://a", match: { path: /a/first } }
`,
    [
      ["GET x/a", "one"],
      ["GET x/ab", "two"],
      ["GET x/a/b", "two"],
      ["GET x/c", "three"],
      ["GET x/c/d", "nobody"],
      ["GET x/z/a", "nobody"],
      ["GET x/a/first/z", "first"]
    ]
  )

  rows(
    "a path that the upstream could take for another route's is nobody's",
    routes("{ path: / }", "{ path: /admin }", "{ path: { exact: '/a%20b' } }", "{ path: /é }"),
    [
      ["GET x/admin/x", "b"],
      ["GET x/%61dmin/x", "ambiguous"],
      ["GET x//admin/x", "ambiguous"],
      ["GET x/a/..%2fadmin", "unreadable"],
      ["GET x/a/../admin", "b"],
      ["GET x/x;y/%20z", "a"],
      ["GET x/a%20b", "c"],
      ["GET x/%C3%A9/x", "d"],
      ["GET x/a%zz", "unreadable"]
    ]
  )

  rows(
    "so with the expressions of proxies",
    `proxies:
      - { name: admin, upstream_url: "http://a", request_path_regex: "/api/admin/.*" }
      - { name: api, upstream_url: "http://a", request_path_regex: "/api/(.*)" }
`,
    [
      ["GET x/api/admin/x", "admin"],
      ["GET x/api/%61dmin/x", "ambiguous"],
      ["GET x/api/a%20b/", "api"],
      ["GET x/api//", "api"]
    ]
  )

  it.effect("ten thousand routes are found in no time", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 10_000 }, (_, i) =>
        `  - { name: r${i}, upstream: "http://a", match: { path: /r${i} } }`)
      const find = yield* lookup(`routes:\n${many.join("\n")}\n`)
      assert.strictEqual(find("GET x/r9999/a"), "r9999")
    }))
})
