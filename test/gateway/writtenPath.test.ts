import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explained, refused } from "./started.ts"

const places: Record<string, (path: string) => string> = {
  "match.path": (path) => `routes:\n  - upstream: http://a\n    match: { path: ${path} }\n`,
  "match.path.exact": (path) => `routes:\n  - upstream: http://a\n    match: { path: { exact: ${path} } }\n`,
  "rewrite.path": (path) => `routes:\n  - upstream: http://a\n    rewrite: { path: ${path} }\n`,
  "rewrite.prefix": (path) => `routes:\n  - upstream: http://a\n    rewrite: { prefix: ${path} }\n`,
  "redirect.path": (path) => `routes:\n  - redirect: { path: ${path} }\n`,
  "redirect.prefix": (path) => `routes:\n  - redirect: { prefix: ${path} }\n`
}

describe("a path in a file", () => {
  for (const [place, text] of Object.entries(places)) {
    for (
      const [path, message] of [
        ["/a/../b", `expected a path without dots to resolve, found "/a/../b" (did you mean /b?)`],
        ["/../b", `expected a path that a request can have, found "/../b"`],
        ["/a%zz", `expected a path that a request can have, found "/a%zz"`],
        ["/a%00", `expected a path that a request can have, found "/a%00"`]
      ] as const
    ) {
      it.effect(`${place}: ${path} would match nothing, or fail each request`, () =>
        Effect.map(refused(text(path)), (said) => assert.include(said, `routes[0].${place}: ${message}`)))
    }
    for (const path of ["\"/a\\u0001\"", "\"/a\\0\"", "\"/a\\\\b\"", "/a b", "/a?b", "/a#b", "a"]) {
      it.effect(`${place}: ${path} is none`, () =>
        Effect.map(refused(text(path)), (said) => {
          assert.include(said, `routes[0].${place === "match.path.exact" ? "match.path" : place}`)
          assert.include(said, "a path")
        }))
    }
  }

  it.effect("is sent as a client would spell it", () =>
    Effect.gen(function*() {
      assert.include(yield* explained(places["rewrite.path"]!("/ü/%C3%BC")), "http://a/%C3%BC/%C3%BC")
      assert.include(yield* explained(places["rewrite.prefix"]!("/ü")), "http://a/%C3%BC/")
    }))
})

describe("hosts in a file", () => {
  for (
    const [text, message] of [
      ["redirect: { host: a/b@c }", "redirect.host: expected a host, without a port"],
      ["redirect: { host: \"a:80\" }", "redirect.host: expected a host, without a port"],
      ["redirect: { host: \"a\\0b\" }", "redirect.host: expected a host, without a port"],
      ["redirect: { host: ü.test }", "redirect.host: expected a host, without a port"],
      ["upstream: http://a\n    rewrite: { host: a b }", "rewrite.host: expected a host, or a host:port"],
      ["upstream: http://a\n    rewrite: { host: http://a }", "rewrite.host: expected a host, or a host:port"],
      [
        "upstream: http://a\n    match: { host: ü.test }",
        "match.host: expected a host, without a port, or *. and a host, found \"ü.test\" (did you mean xn--tda.test?)"
      ],
      ["upstream: http://a\n    name: \"a\\e[2Jb\"", "name: expected a name, without spaces around it"]
    ] as const
  ) {
    it.effect(`${text} is refused`, () =>
      Effect.map(refused(`routes:\n  - ${text}\n`), (said) => assert.include(said, `routes[0].${message}`)))
  }

  for (const host of ["example.com", "\"example.com:8080\"", "\"[::1]:80\""]) {
    it.effect(`rewrite.host may be ${host}`, () =>
      Effect.map(
        explained(`routes:\n  - upstream: http://a\n    rewrite: { host: ${host} }\n`),
        (said) => assert.include(said, "http://a/")
      ))
  }
})
