import { assert, describe, it } from "@effect/vitest"
import { lenient, resolve, split } from "../../packages/http/src/internal/path.ts"

describe("13. a target is split at its first question mark", () => {
  it("what is after it is the query, and kept", () => {
    assert.deepStrictEqual(split("/a?b?c#d"), { path: "/a", query: "?b?c#d" })
    assert.deepStrictEqual(split("/a"), { path: "/a", query: "" })
  })
  for (const target of ["", "a", "*", "?a", "/a#b", "/#?b"]) {
    it(`${JSON.stringify(target)} is none`, () => assert.isUndefined(split(target)))
  }
})

describe("14. dot segments are resolved", () => {
  const resolved = {
    "/a/.": "/a/",
    "/a/%2e": "/a/",
    "/a/%2E/b": "/a/b",
    "/a/./b": "/a/b",
    "/a/..": "/",
    "/a/b/%2E%2e": "/a/",
    "/a//..//b": "/a//b",
    "/...": "/...",
    "/a/.b": "/a/.b"
  }
  for (const [path, expected] of Object.entries(resolved)) {
    it(`${path} is ${expected}`, () => assert.strictEqual(resolve(path), expected))
  }
  const none = ["/..", "/a/../..", "/a%2", "/a%zz", "/%01", "/%1f", "/%7F", "/a\\b", "/a/..%23b", "/a/.%3fb", "/a/.%23"]
  for (const path of none) {
    it(`${path} is a 400`, () => assert.isUndefined(resolve(path)))
  }
})

describe("13. the most lenient reading of a path", () => {
  const readings = {
    "/a//b": "/a/b",
    "//a/b/": "/a/b",
    "/a%2fb": "/a/b",
    "/a%5Cb": "/a/b",
    "/a;b/c": "/a/c",
    "/a%3bb": "/a",
    "/a%3fb": "/a",
    "/a%23b/c": "/a/c",
    "/;/a": "/a",
    "/%61": "/a",
    "/%253b": "/%253b",
    "/%2aa": "/*a"
  }
  for (const [path, expected] of Object.entries(readings)) {
    it(`${path} is ${expected}`, () => assert.strictEqual(lenient(path), expected))
  }
  it("of a plain one is itself", () => assert.isUndefined(lenient("/a/b.c/~d")))
})
