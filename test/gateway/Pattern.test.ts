import { assert, describe, test } from "vitest"
import { Pattern, PatternError } from "../../packages/gateway/src/internal/Pattern.ts"

// As Python 3.11 answers: `re.fullmatch(regex, path) is not None`, and `re.sub(regex, sub, path)`.
const asPython: ReadonlyArray<readonly [regex: string, sub: string, path: string, matches: boolean, made: string]> = [
  ["/github/(.*)", "/\\1", "/github/repos/a", true, "/repos/a"],
  ["/github/(.*)", "/\\1", "/github/", true, "/"],
  ["/(a|b)/", "/\\1\\1/", "/a/b/c", false, "/aa/b/c"],
  ["(.*)", "/x\\1", "/a", true, "/x/a/x"],
  ["x*", "-", "/abxd", false, "-/-a-b--d-"],
  ["(?P<first>[^/]+)/(?P<second>[^/]+)", "\\g<second>/\\g<first>", "/a/b", false, "/b/a"],
  ["/(a)(b)?", "/[\\1\\2]", "/ac", false, "/[a]c"],
  ["\\A/a\\Z", "/b", "/a", true, "/b"],
  ["/v(\\d{,2})/", "/\\g<1>0/", "/v12/x", false, "/120/x"],
  ["[]/]", "|", "/a]b", false, "|a|b"],
  ["(?i)/ABC", "/x", "/abc", true, "/x"],
  ["/a\\.b", "/\\\\", "/a.b", true, "/\\"],
  ["/(\\w+)\\.json$", "/\\1", "/users.json", true, "/users"],
  ["a{2}", "b", "/aaaaa", false, "/bba"],
  ["^/", "", "//a", false, "/a"],
  ["(?:/a)+?", "/b", "/a/a", true, "/b/b"],
  ["/\\x61", "/z", "/a", true, "/z"],
  ["/(é+)", "/\\1\\1", "/éé", true, "/éééé"]
]

describe("Pattern", () => {
  test.for(asPython)("%s with %s makes of %s what Python makes of it", ([regex, sub, path, matches, made]) => {
    const pattern = new Pattern(regex)
    assert.strictEqual(pattern.matches(path), matches)
    assert.strictEqual(pattern.sub(path, pattern.replacement(sub)), made)
  })

  const refused: ReadonlyArray<readonly [regex: string, part: string]> = [
    ["/(a)\\1", "\\1"],
    ["/(?P<a>b)(?P=a)", "(?P="],
    ["/(?=a)", "(?="],
    ["/(?<!a)b", "(?<!"],
    ["/(?>a)", "(?>"],
    ["/(a)(?(1)b|c)", "(?("],
    ["/(?x) a", "(?x"],
    ["/a++", "++"],
    ["/a{1001}", "{1001}"],
    ["/[z-a]", "z-a"],
    ["/*+", "*+"],
    ["/a\\", "\\"]
  ]
  test.for(refused)("%s is refused at %s", ([regex, part]) => {
    try {
      assert.isDefined(new Pattern(regex))
      assert.fail("it was taken")
    } catch (error) {
      if (!(error instanceof PatternError)) throw error
      assert.strictEqual(regex.slice(error.at, error.at + error.length), part)
    }
  })

  test.for([["\\2", 0, 2], ["/\\g<b>", 1, 5], ["a\\q", 1, 2], ["\\0", 0, 2]] as const)(
    "the substitution %s is refused",
    ([template, at, length]) => {
      try {
        new Pattern("/(?P<a>.)").replacement(template)
        assert.fail("it was taken")
      } catch (error) {
        if (!(error instanceof PatternError)) throw error
        assert.deepStrictEqual([error.at, error.length], [at, length])
      }
    }
  )

  // In an engine that goes back, this takes longer than the universe is old.
  test("no expression hangs the process", () => {
    const path = `/${"a".repeat(8000)}!`
    assert.isFalse(new Pattern("/(a|aa|a+)+").matches(path))
    assert.isFalse(new Pattern("/(.*)*(.*)*(.*)*x").matches(path))
  })
})
