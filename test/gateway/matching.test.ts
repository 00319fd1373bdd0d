import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explained, refused } from "./started.ts"

const matching = (match: string) => `routes:\n  - upstream: http://a\n    match: ${match}\n`

describe("match.path", () => {
  const none = "a path has no wildcards"
  for (
    const [match, at, message] of [
      [
        "{ path: /a/* }",
        "3:20: routes[0].match.path",
        `${none}, found "/a/*" (did you mean /a? It takes what is below it)`
      ],
      [
        "{ path: /a/** }",
        "3:20: routes[0].match.path",
        `${none}, found "/a/**" (did you mean /a? It takes what is below it)`
      ],
      ["{ path: /* }", "3:20: routes[0].match.path", `${none}, found "/*" (did you mean /? It takes what is below it)`],
      [
        "{ path: { prefix: /a/* } }",
        "3:30: routes[0].match.path.prefix",
        `${none}, found "/a/*" (did you mean /a? It takes what is below it)`
      ],
      [
        "{ path: { exact: /a/* } }",
        "3:29: routes[0].match.path.exact",
        `${none}, found "/a/*" (did you mean prefix: /a? It takes what is below it)`
      ],
      ["{ path: /a* }", "3:20: routes[0].match.path", `${none}, found "/a*" (did you mean regex: /a.*?)`],
      [
        "{ path: /a.b/*/c }",
        "3:20: routes[0].match.path",
        `${none}, found "/a.b/*/c" (did you mean regex: /a\\.b/[^/]+/c(/.*)??)`
      ],
      [
        "{ path: { exact: /a/*/c } }",
        "3:29: routes[0].match.path.exact",
        `${none}, found "/a/*/c" (did you mean regex: /a/[^/]+/c?)`
      ],
      [
        "{ path: \"/a/:id\" }",
        "3:20: routes[0].match.path",
        "a path has no parameters, found \"/a/:id\" (did you mean regex: /a/[^/]+(/.*)??)"
      ],
      [
        "{ path: \"/a/{id}/b\" }",
        "3:20: routes[0].match.path",
        "a path has no parameters, found \"/a/{id}/b\" (did you mean regex: /a/[^/]+/b(/.*)??)"
      ]
    ] as const
  ) {
    it.effect(`${match} is refused: it would be taken as it is written`, () =>
      Effect.map(refused(matching(match)), (said) => assert.strictEqual(said, `blackgate.yml:${at}: ${message}`)))
  }

  for (const match of ["{ path: /v1/books:publish }", "{ path: { regex: /a/.* } }", "{ path: /a%2A }"]) {
    it.effect(`${match} is fine`, () =>
      Effect.map(explained(matching(match)), (said) => assert.strictEqual(said, "404: no route matches")))
  }
})

describe("match.host", () => {
  for (
    const [host, hint] of [
      ["\"*\"", " (did you mean to leave it out? A route without one takes every host)"],
      ["a*.example", ""],
      ["\"*example.com\"", " (did you mean *.example.com?)"],
      [".example.com", " (did you mean *.example.com?)"],
      ["a.*.example", ""],
      ["example.com:80", " (did you mean example.com?)"],
      ["http://example.com", " (did you mean example.com?)"]
    ] as const
  ) {
    it.effect(`${host} is refused`, () =>
      Effect.map(refused(matching(`{ host: ${host} }`)), (said) => {
        const found = JSON.stringify(host.replaceAll("\"", ""))
        assert.strictEqual(
          said,
          `blackgate.yml:3:20: routes[0].match.host: expected a host, without a port, or *. and a host, found ${found}${hint}`
        )
      }))
  }

  it.effect("*.example.com and a host of every language are fine", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* explained(matching("{ host: \"*.example.com\" }")), "404: no route matches")
      assert.include(yield* explained(matching("{ host: Gateway.TEST }")), "http://a/")
    }))
})

describe("rewrite and redirect", () => {
  for (const key of ["path", "prefix"]) {
    it.effect(`${key} of a rewrite has no wildcard`, () =>
      Effect.map(
        refused(`routes:\n  - upstream: http://a\n    rewrite: { ${key}: /b/* }\n`),
        (said) => assert.include(said, `rewrite.${key}: a path has no wildcards, found "/b/*"`)
      ))
    it.effect(`${key} of a redirect has no wildcard`, () =>
      Effect.map(
        refused(`routes:\n  - redirect: { ${key}: /b/* }\n`),
        (said) => assert.include(said, `redirect.${key}: a path has no wildcards, found "/b/*"`)
      ))
  }
})
