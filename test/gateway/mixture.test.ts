import { assert, describe, it } from "@effect/vitest"
import { mixture } from "../../packages/gateway/src/internal/workers/mixture.ts"

const points = (...values: ReadonlyArray<number>) =>
  ([0.5, 0.9, 0.95, 0.99, 1] as const).map((quantile, i) => [quantile, values[i]!] as const)

describe("mixture", () => {
  it("of those that are alike is what each is", () => {
    const one = { weight: 3, points: points(10, 20, 30, 40, 50) }
    const quantile = mixture([one, { ...one, weight: 100 }])
    for (const [at, value] of one.points) assert.closeTo(quantile(at), value, 1e-6)
  })

  it("lies between them, and nearer to the one that has more", () => {
    const slow = points(100, 200, 300, 400, 500)
    const fast = points(1, 2, 3, 4, 5)
    const even = mixture([{ weight: 1, points: slow }, { weight: 1, points: fast }])
    // All of the fast ones are half of all, and a few of the slow ones are as fast.
    assert.isTrue(even(0.5) > 3 && even(0.5) < 5)
    // Of the slow ones four in five are faster.
    assert.closeTo(even(0.9), 175, 1e-6)
    const mostlyFast = mixture([{ weight: 1, points: slow }, { weight: 99, points: fast }])
    assert.isBelow(mostlyFast(0.9), 3)
    assert.isAbove(mostlyFast(0.99), 3.9)
  })

  it("of uniform ones is the uniform one that they make", () => {
    const uniform = (to: number) => points(0.5 * to, 0.9 * to, 0.95 * to, 0.99 * to, to)
    const quantile = mixture([{ weight: 1, points: uniform(1) }, { weight: 1, points: uniform(2) }])
    // Below 1 three quarters are: all of one, half of the other.
    assert.closeTo(quantile(0.5), 2 / 3, 1e-6)
    assert.closeTo(quantile(0.9), 1.6, 1e-6)
  })

  it("of a few that are all the same value is that", () => {
    const quantile = mixture([{ weight: 1, points: points(0, 0, 0, 0, 0) }, {
      weight: 1,
      points: points(0, 0, 0, 0, 0)
    }])
    assert.strictEqual(quantile(0.99), 0)
  })
})
