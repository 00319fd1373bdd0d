import { HeaderList } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

const list = HeaderList.make(["Accept", "a"], ["X-One", ""], ["accept", "b"], ["ACCEPT", "a"])

describe("HeaderList", () => {
  it("keeps names as they are spelled, and duplicates, in order", () => {
    assert.deepStrictEqual(list, ["Accept", "a", "X-One", "", "accept", "b", "ACCEPT", "a"])
    assert.deepStrictEqual(HeaderList.make(), HeaderList.empty)
  })

  it("get finds the first of a name, whatever its case", () => {
    assert.strictEqual(HeaderList.get(list, "ACCEPT"), "a")
    assert.strictEqual(HeaderList.get(list, "x-one"), "")
    assert.isUndefined(HeaderList.get(list, "x-two"))
    // A value is no name.
    assert.isUndefined(HeaderList.get(["a", "b", "c", "d"], "b"))
  })

  it("getAll finds all of a name, in order", () => {
    assert.deepStrictEqual(HeaderList.getAll(list, "aCCept"), ["a", "b", "a"])
    assert.deepStrictEqual(HeaderList.getAll(list, "x-two"), [])
  })

  it("remove takes all of a name, and nothing else", () => {
    assert.deepStrictEqual(HeaderList.remove(list, "Accept"), ["X-One", ""])
    assert.deepStrictEqual(HeaderList.remove(list, "b"), list)
  })

  it("append and set put a field at the end, and change no list that they are given", () => {
    const before = [...list]
    assert.deepStrictEqual(HeaderList.append(list, "accept", "c"), [...list, "accept", "c"])
    assert.deepStrictEqual(HeaderList.set(list, "accept", "c"), ["X-One", "", "accept", "c"])
    assert.deepStrictEqual(HeaderList.set(list, "X-Two", "c"), [...list, "X-Two", "c"])
    assert.deepStrictEqual(list, before)
  })

  it("works in a pipe", () => {
    assert.strictEqual(HeaderList.get("accept")(list), "a")
    assert.deepStrictEqual(HeaderList.getAll("accept")(list), ["a", "b", "a"])
    assert.deepStrictEqual(HeaderList.remove("accept")(list), ["X-One", ""])
    assert.deepStrictEqual(HeaderList.append("a", "b")(["c", "d"]), ["c", "d", "a", "b"])
    assert.deepStrictEqual(HeaderList.set("c", "b")(["c", "d"]), ["c", "b"])
  })
})

describe("8. between a list and Effect's headers", () => {
  it("a name that comes once is a string, in lower case", () => {
    assert.deepStrictEqual({ ...HeaderList.toHeaders(["X-A", "1", "Set-Cookie", "a=1"]) }, {
      "x-a": "1",
      "set-cookie": "a=1"
    })
  })

  it("a name that comes more than once is a list, and no value is joined to another", () => {
    const headers: Record<string, unknown> = { ...HeaderList.toHeaders(["X-A", "1", "x-a", "2, 3", "X-A", ""]) }
    assert.deepStrictEqual(headers, { "x-a": ["1", "2, 3", ""] })
  })

  it("those that Effect's middleware reads as a string are joined", () => {
    const headers = HeaderList.toHeaders(["Vary", "a", "vary", "b", "VARY", "c", "ETag", "\"a\"", "Cache-Control", "x"])
    assert.deepStrictEqual({ ...headers }, { vary: "a, b, c", etag: "\"a\"", "cache-control": "x" })
  })

  it("names that every object has are names", () => {
    const fields = ["__proto__", "1", "constructor", "2", "toString", "3", "__proto__", "4"]
    assert.deepStrictEqual(HeaderList.fromHeaders(HeaderList.toHeaders(fields)), [
      "__proto__",
      "1",
      "__proto__",
      "4",
      "constructor",
      "2",
      "tostring",
      "3"
    ])
  })

  it("there and back, every name has the values that it had, in their order", () => {
    const name = fc.constantFrom("a", "A", "b", "Set-Cookie", "set-cookie", "__proto__", "hasOwnProperty")
    fc.assert(fc.property(fc.array(fc.tuple(name, fc.string({ unit: "binary-ascii" }))), (fields) => {
      const before = HeaderList.make(...fields)
      const after = HeaderList.fromHeaders(HeaderList.toHeaders(before))
      assert.strictEqual(after.length, before.length)
      for (const [name] of fields) {
        assert.deepStrictEqual(HeaderList.getAll(after, name), HeaderList.getAll(before, name))
      }
    }))
  })
})

describe("7. what passes on", () => {
  it("ofResponse drops hop-by-hop fields, and those that Connection names", () => {
    const list = [
      "Connection",
      "x-hop",
      "X-Hop",
      "1",
      "Keep-Alive",
      "timeout=5",
      "Via",
      "1.1 a",
      "Link",
      "a",
      "Link",
      "b"
    ]
    assert.deepStrictEqual(HeaderList.ofResponse(list), ["Via", "1.1 a", "Link", "a", "Link", "b"])
  })

  it("trailers are those that change nothing of how the message is read, spelled as they came, in order", () => {
    const head = ["Connection", "x-hop"]
    const passed = ["X-Sum", "1", "x-sum", "", "grpc-status", "0"]
    const dropped = [
      "X-Hop",
      "1",
      "TE",
      "trailers",
      "Content-Length",
      "1",
      "Set-Cookie",
      "a",
      ":path",
      "/",
      "a b",
      "1",
      "c",
      "\r\n"
    ]
    assert.deepStrictEqual(HeaderList.trailers([...dropped, ...passed], head), passed)
    assert.deepStrictEqual(HeaderList.trailers(head)([]), [])
  })
})
