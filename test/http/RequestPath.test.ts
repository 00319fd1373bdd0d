import { RequestPath } from "@blackgate/http"
import { assert, describe, test } from "vitest"

const rows: ReadonlyArray<
  readonly [target: string, path: string | undefined, query: string, lenient: string | undefined]
> = [
  ["/", "/", "", undefined],
  ["/a/b?c=/../d", "/a/b", "?c=/../d", undefined],
  ["/a/./b/../c", "/a/c", "", undefined],
  ["/a%2Fb", "/a%2Fb", "", "/a/b"],
  ["/%61//b;c/", "/%61//b;c/", "", "/a/b"],
  ["/%C3%A9", "/%C3%A9", "", "/\u00c3\u00a9"],
  ["/a/%2e%2e/%2e%2e/b", undefined, "", undefined],
  ["/a%zz", undefined, "", undefined],
  ["/a\\b", undefined, "", undefined],
  ["*", undefined, "", undefined]
]

describe("RequestPath", () => {
  test.for(rows)("%s", ([target, path, query, lenient]) => {
    assert.deepStrictEqual(RequestPath.parse(target), path === undefined ? undefined : { path, query, lenient })
  })
})
