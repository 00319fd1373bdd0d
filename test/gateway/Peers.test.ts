import { assert, describe, it } from "@effect/vitest"
import { Peers } from "../../packages/gateway/src/internal/Peers.ts"

describe("Peers", () => {
  const cases: ReadonlyArray<readonly [list: ReadonlyArray<string>, peer: string | undefined, has: boolean]> = [
    [["10.0.0.0/8"], "10.1.2.3", true],
    [["10.0.0.0/8"], "::ffff:10.1.2.3", true],
    [["10.0.0.0/8"], "11.1.2.3", false],
    [["10.1.2.3"], "::ffff:10.1.2.3", true],
    [["::ffff:10.1.2.3"], "10.1.2.3", true],
    [["fd00::/8"], "fd00::1", true],
    [["fe80::/10"], "fe80::1%eth0", true],
    [["fd00::1"], "fd00::2", false],
    [["0.0.0.0/0"], "fd00::1", false],
    [[], "10.1.2.3", false],
    [["0.0.0.0/0", "::/0"], undefined, false],
    [["unix:"], undefined, true],
    [["unix:"], "10.1.2.3", false],
    [["0.0.0.0/0"], "a.test", false]
  ]
  for (const [list, peer, has] of cases) {
    it(`${peer ?? "one without an address"} is ${has ? "" : "not "}one of [${list.join(", ")}]`, () => {
      assert.strictEqual(new Peers(list).has(peer), has)
    })
  }
})
