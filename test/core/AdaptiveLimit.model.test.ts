import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Aimd, type Algorithm, Gradient } from "../../packages/core/src/internal/AdaptiveLimitAlgorithm.ts"
import { AdaptiveLimitControl, type Settings } from "../../packages/core/src/internal/AdaptiveLimitControl.ts"

const common = { min: 3, initial: 20, window: 100, minimumCalls: 10, quantile: 0.5 }
const everyMinute = { every: 60_000, calls: 10, jitter: 0 }
const once = { ...everyMinute, every: 1e9 }

/** A control and a clock. */
class Driver {
  now = 1_000_000
  readonly control: AdaptiveLimitControl
  /** What it has set, in order. */
  readonly set: Array<number> = []

  constructor(algorithm: Algorithm, some: Partial<Settings> = {}, ceiling = 100, random = () => 0) {
    const settings = { ...common, algorithm, baseline: undefined, ...some }
    this.control = new AdaptiveLimitControl(settings, ceiling, this.now, random, (limit) => this.set.push(limit))
  }

  /** So many calls, that have taken so long and end now, with so many running. */
  calls(many: number, millis: number, active = 20): this {
    this.control.began(active)
    for (let i = 0; i < many; i++) this.control.took(millis, this.now - millis, this.now)
    return this
  }

  /** A window of calls. */
  window(millis: number, active?: number, many = common.minimumCalls): this {
    const { latency = 0 } = this.control
    this.now += Math.max(common.window, Math.min(1000, latency), Math.min(1000, millis))
    return this.calls(many, millis, active)
  }
}

const aimd = (some: Partial<Settings> = {}) => new Driver(new Aimd(200, 1, 0.5), some)

/** One whose baseline is 100 milliseconds. */
const gradient = (some: Partial<Settings> = {}, smoothing = 1) => {
  const driver = new Driver(new Gradient(1.5, smoothing), { baseline: everyMinute, ...some })
  driver.window(100)
  assert.strictEqual(driver.control.baseline, 100)
  return driver
}

describe("the gradient", () => {
  const after = (millis: number, smoothing?: number) => gradient({}, smoothing).window(millis).control.estimate

  it("is 1 within the tolerance: the limit grows by its square root", () => {
    assert.strictEqual(after(100), 20 + Math.sqrt(20))
    assert.strictEqual(after(150), 20 + Math.sqrt(20))
    assert.strictEqual(after(50), 20 + Math.sqrt(20))
  })

  it("is what calls are slower by, beyond it", () => assert.strictEqual(after(200), 15 + Math.sqrt(15)))

  it("is a half at the least, and where half of the calls are cut off", () => {
    assert.strictEqual(after(10_000), 10 + Math.sqrt(10))
    assert.strictEqual(after(Infinity), 10 + Math.sqrt(10))
  })

  it("makes nothing grow while there is no baseline; cut off calls make it fall", () => {
    const driver = new Driver(new Gradient(1.5, 1), { baseline: everyMinute })
    for (let i = 0; i < 40; i++) driver.control.failed(driver.now)
    assert.deepInclude({ ...driver.control }, { measuring: false, baseline: undefined })
    assert.strictEqual(driver.window(10).control.estimate, 20)
    assert.strictEqual(driver.window(Infinity).control.estimate, 10 + Math.sqrt(10))
  })

  it("is gone after step by step: a share of the way in a window", () =>
    assert.closeTo(after(200, 0.2), 20 + 0.2 * (15 + Math.sqrt(15) - 20), 1e-9))

  it("settles at what the dependency can do at once, with the tolerance and its square root", () => {
    const driver = gradient({}, 0.2)
    // Ten at once, first come first served: calls take as many times as long as there are too many.
    for (let i = 0; i < 200; i++) driver.window(100 * Math.max(1, driver.control.limit / 10), driver.control.limit)
    assert.closeTo(driver.control.limit, 15 + Math.sqrt(15), 2)
  })
})

describe("aimd", () => {
  it("adds one after a window in time, and multiplies after one that is not", () => {
    const driver = aimd()
    assert.deepStrictEqual([200, 200, 201, 200, Infinity].map((millis) => driver.window(millis).control.estimate), [
      21,
      22,
      11,
      12,
      6
    ])
  })

  it("backs off once in a window, however many calls are slow", () => {
    const driver = aimd()
    driver.window(500, 20, 100)
    assert.strictEqual(driver.control.estimate, 10)
  })

  it("backs off for the share of calls that must not be slow", () => {
    const one = aimd({ quantile: 0.9 })
    one.now += 100
    one.calls(1, Infinity).calls(9, 100)
    assert.strictEqual(one.control.estimate, 21)
    const two = aimd({ quantile: 0.9 })
    two.now += 100
    two.calls(2, Infinity).calls(8, 100)
    assert.strictEqual(two.control.estimate, 10)
  })
})

describe("a window", () => {
  it("in which too few calls have ended changes nothing, and goes on", () => {
    const driver = aimd()
    driver.window(1000, 20, 9)
    assert.strictEqual(driver.control.estimate, 20)
    driver.calls(1, 1000)
    assert.strictEqual(driver.control.estimate, 10)
  })

  it("that is too short changes nothing, and goes on", () => {
    const driver = aimd()
    driver.now += 99
    driver.calls(50, 10)
    assert.strictEqual(driver.control.estimate, 20)
    driver.now += 1
    driver.calls(1, 10)
    assert.strictEqual(driver.control.estimate, 21)
  })

  it("is as long as the calls of the last, so that it shows what the change did; ten times its own time at the most", () => {
    for (const [millis, long] of [[150, 150], [5000, 1000]] as const) {
      const driver = aimd().window(millis)
      const { estimate } = driver.control
      driver.now += long - 1
      driver.calls(20, 10)
      assert.strictEqual(driver.control.estimate, estimate)
      driver.now += 1
      driver.calls(1, 10)
      assert.strictEqual(driver.control.estimate, estimate + 1)
    }
  })

  it("does not make a limit grow that is not half used, and does make it fall", () => {
    for (const driver of [aimd(), gradient()]) {
      driver.window(50, 9)
      assert.strictEqual(driver.control.estimate, 20)
      driver.window(50, 10)
      assert.isAbove(driver.control.estimate, 20)
      const { estimate } = driver.control
      driver.window(1000, 1)
      assert.isBelow(driver.control.estimate, estimate)
    }
  })

  it("of failures changes nothing", () => {
    const driver = aimd()
    driver.now += 100
    driver.control.began(20)
    for (let i = 0; i < 100; i++) driver.control.failed(driver.now)
    assert.strictEqual(driver.control.estimate, 20)
    assert.isUndefined(driver.control.latency)
  })
})

describe("the baseline", () => {
  it("is of calls that began with the limit at the floor", () => {
    const driver = gradient()
    driver.now += 60_000
    driver.calls(10, 100)
    assert.isTrue(driver.control.measuring)
    driver.now += 300
    driver.calls(100, 300).calls(100, 1000) // these were under way
    assert.isTrue(driver.control.measuring)
    driver.now += 1
    driver.calls(9, 120)
    driver.calls(100, Infinity)
    assert.isTrue(driver.control.measuring)
    driver.calls(1, 120)
    assert.deepInclude({ ...driver.control }, { measuring: false, baseline: 120 })
  })

  it("takes a twentieth of the time at the most, however slow the calls", () => {
    const driver = new Driver(new Gradient(1.5, 1), { baseline: { ...everyMinute, every: 5000 } })
    const begins: Array<number> = []
    let measured = 0
    let was = true
    const start = driver.now
    while (driver.now < start + 1_000_000) {
      driver.window(500, 20, 5)
      if (driver.control.measuring) measured += 500
      if (driver.control.measuring && !was) begins.push(driver.now)
      was = driver.control.measuring
    }
    assert.isAbove(begins.length, 20)
    assert.isAtMost(measured, 1_000_000 / 20)
  })

  it("that is out of tolerance of the last is measured again soon", () => {
    const next = (millis: number) => {
      const driver = gradient({}, 1e-9)
      while (!driver.control.measuring) driver.window(100)
      while (driver.control.measuring) driver.window(millis)
      const from = driver.now
      while (!driver.control.measuring) driver.window(100)
      return driver.now - from
    }
    assert.isAtLeast(next(150), 60_000)
    assert.isAtMost(next(151), 7000)
  })

  it("is in doubt after five windows at the floor", () => {
    const driver = gradient({ baseline: once })
    let windows = 0
    while (driver.control.limit > 3) driver.window(1000)
    while (!driver.control.measuring && windows++ < 100) driver.window(1000)
    assert.strictEqual(windows, 4)
  })
})

describe("a clock that jumps", () => {
  const jumps: Record<string, number> = { "an hour back": -3_600_000, "an hour on": 3_600_000 }
  for (const [how, jump] of Object.entries(jumps)) {
    it(`${how}: the limit moves on as before`, () => {
      for (const driver of [aimd(), gradient({ baseline: once }, 0.2)]) {
        driver.now += jump
        for (let i = 0; i < 5; i++) driver.window(50)
        const { estimate } = driver.control
        driver.window(50)
        driver.window(50)
        assert.isAbove(driver.control.estimate, Math.min(estimate, 20))
        for (let i = 0; i < 5; i++) driver.window(1000)
        assert.isBelow(driver.control.estimate, estimate)
      }
    })
  }

  it("back under a call: that call counts as nothing", () => {
    const driver = aimd()
    driver.now += 100
    driver.calls(100, -1)
    driver.calls(100, NaN)
    assert.strictEqual(driver.control.estimate, 20)
    assert.isUndefined(driver.control.latency)
  })

  it("back an hour: baselines are measured on", () => {
    const driver = gradient({}, 1e-9)
    driver.now -= 3_600_000
    const from = driver.now
    driver.window(100)
    while (!driver.control.measuring) driver.window(100)
    assert.isAtMost(driver.now - from, 70_000)
  })
})

const share = fc.double({ min: 0.001, max: 1, noNaN: true })
const algorithm = fc.oneof(
  fc.tuple(fc.double({ min: 1, max: 1e6, noNaN: true }), share).map(([tolerance, smoothing]) =>
    new Gradient(tolerance, smoothing)
  ),
  fc.tuple(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), fc.double({ min: 1e-6, max: 1e6, noNaN: true }), share).map(
    (
      [target, increase, backoff]
    ) => new Aimd(target, increase, backoff * 0.999)
  )
)

const millis = fc.oneof(
  fc.double({ min: -1e6, max: 1e12 }),
  fc.constantFrom(0, Infinity, NaN, Number.MIN_VALUE, Number.MAX_VALUE)
)

const event = fc.oneof(
  fc.record({ _tag: fc.constant("took" as const), many: fc.integer({ min: 1, max: 30 }), millis }),
  fc.record({ _tag: fc.constant("failed" as const), many: fc.integer({ min: 1, max: 300 }) }),
  fc.record({ _tag: fc.constant("pass" as const), millis: fc.double({ min: -1e7, max: 1e7, noNaN: true }) }),
  fc.record({ _tag: fc.constant("ceiling" as const), ceiling: fc.integer({ min: 1, max: 2000 }) }),
  fc.record({ _tag: fc.constant("began" as const), active: fc.integer({ min: 1, max: 3000 }) })
)

describe("26. between a floor and a ceiling", () => {
  it("the limit is a whole number, whatever calls take and whatever the clock does", () => {
    fc.assert(
      fc.property(
        algorithm,
        fc.record({
          min: fc.integer({ min: 1, max: 1000 }),
          initial: fc.integer({ min: 1, max: 1000 }),
          window: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
          minimumCalls: fc.integer({ min: 1, max: 50 }),
          quantile: share,
          baseline: fc.record({
            every: fc.double({ min: 0.001, max: 1e7, noNaN: true }),
            calls: fc.integer({ min: 1, max: 50 }),
            jitter: fc.double({ min: 0, max: 1, noNaN: true })
          })
        }),
        fc.integer({ min: 1, max: 1000 }),
        fc.array(event, { maxLength: 100 }),
        (algorithm, settings, ceiling, events) => {
          const baseline = algorithm.name === "gradient" ? settings.baseline : undefined
          const driver = new Driver(algorithm, { ...settings, baseline }, ceiling, Math.random)
          const { control } = driver
          for (const event of events) {
            if (event._tag === "took") driver.calls(event.many, event.millis)
            else if (event._tag === "failed") { for (let i = 0; i < event.many; i++) control.failed(driver.now) }
            else if (event._tag === "pass") driver.now += event.millis
            else if (event._tag === "began") control.began(event.active)
            else control.moveCeiling(event.ceiling)
            for (const limit of [control.limit, driver.set.at(-1)!]) {
              assert.isTrue(Number.isInteger(limit))
              assert.isAtLeast(limit, Math.min(settings.min, control.ceiling))
              assert.isAtMost(limit, control.ceiling)
            }
            assert.strictEqual(control.limit, driver.set.at(-1))
            assert.isTrue(Number.isFinite(control.estimate))
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})
