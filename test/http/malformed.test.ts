import { assert, describe, it } from "@effect/vitest"
import { Headers } from "effect/http"
import { refusal } from "../../packages/http/src/internal/malformed.ts"
import { target } from "./requests.ts"

const asked = (fields: Record<string, string>) => refusal(target("/"), Headers.fromInput(fields))
const askedOf = (host: string) => asked({ host })

describe("4. where a server shows no raw fields, the host is judged all the same", () => {
  for (const host of ["a", "a:80", "[::1]:80", "a_b.test", "%C3%A4.test"]) {
    it(`${host} is one`, () => assert.isUndefined(askedOf(host)))
  }
  for (
    const host of ["", "u@a", "a/b", "a?b", "a#b", "a\\b", "a b", "a,b", "a:b", "[::1", "[", "[]", "%zz", "\u00e4"]
  ) {
    it(`${JSON.stringify(host)} is none`, () =>
      assert.strictEqual(askedOf(host), `its host is ${JSON.stringify(host)}`))
  }
  it("no host is no fault of the request's", () => assert.isUndefined(asked({})))
})

it("1. a Transfer-Encoding that a server passes on is judged too", () => {
  const coded = (coding: string) => asked({ "transfer-encoding": coding })
  assert.isUndefined(coded("chunked"))
  assert.strictEqual(coded("gzip, chunked"), "its Transfer-Encoding is \"gzip, chunked\"")
})
