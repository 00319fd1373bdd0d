import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explained, planned, refused } from "./started.ts"

const names = (text: string) =>
  Effect.map(planned(text), ({ proxies, routes }) => [...routes, ...proxies].map(({ name }) => name))

describe("names of routes", () => {
  it.effect("two of one name are refused, at the second, with the line of the first: they would share metrics and a circuit", () =>
    Effect.map(
      refused(
        "routes:\n  - { name: a, upstream: http://a }\n  - { name: b, upstream: http://a }\n  - { name: a, upstream: http://b }\n"
      ),
      (said) =>
        assert.strictEqual(
          said,
          "blackgate.yml:4:13: routes[2].name: expected a name that no other route has, found \"a\": routes[0] has it, in line 2"
        )
    ))

  it.effect("a redirect has one, too", () =>
    Effect.map(
      refused("routes:\n  - { name: a, upstream: http://a }\n  - { name: a, redirect: { path: /b } }\n"),
      (said) => assert.include(said, "routes[1].name: expected a name that no other route has")
    ))

  it.effect("those that have none, and match alike, are told apart by what they are called", () =>
    Effect.gen(function*() {
      const text = "routes:\n"
        + "  - { upstream: http://a, match: { headers: { x-a: \"1\" } } }\n"
        + "  - { upstream: http://b, match: { headers: { x-a: \"2\" } } }\n"
        + "  - { upstream: http://c, match: { headers: { x-a: \"3\" } } }\n"
        + "  - { upstream: http://d, name: \"/ x-a (2)\" }\n"
      assert.deepStrictEqual(yield* names(text), ["/ x-a", "/ x-a (3)", "/ x-a (4)", "/ x-a (2)"])
    }))

  it.effect("proxies of the Python program may have one name, also that of a route", () =>
    Effect.gen(function*() {
      const text = "routes:\n  - { name: a, upstream: http://c, match: { path: /a } }\nproxies:\n"
        + "  - { name: a, upstream_url: http://a }\n  - { name: a, upstream_url: http://b }\n"
      assert.deepStrictEqual(yield* names(text), ["a", "a", "a"])
      assert.include(yield* explained(text), "http://a/")
    }))

  for (const char of ["\u0007", "\u001b", "\u007f", "\u0085", "\u009b", "\u2028", "\u2029"]) {
    const escape = JSON.stringify(char).length > 3
      ? JSON.stringify(char).slice(1, -1)
      : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
    it.effect(`what a terminal or a reader of lines takes for a command has no place in one: ${escape}`, () =>
      Effect.map(
        refused(`routes:\n  - { name: "a${escape}b", upstream: http://a }\n`),
        (said) => assert.include(said, "routes[0].name: expected a name, without spaces around it")
      ))
  }
})
