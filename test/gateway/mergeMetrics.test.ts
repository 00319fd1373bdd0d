import { CommandMetrics } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { prometheusText } from "../../packages/gateway/src/internal/metrics.ts"
import { Counted, mergeMetrics } from "../../packages/gateway/src/internal/workers/mergeMetrics.ts"

type Snapshots = ReadonlyArray<Metric.Metric.Snapshot>

/** What a thread has counted, as another one gets it. */
const thread = (count: Effect.Effect<unknown>): Snapshots =>
  structuredClone(
    Effect.runSync(Effect.provideService(Effect.andThen(count, Metric.snapshot), Metric.MetricRegistry, new Map()))
  )

const calls = (outcome: string, n: number) =>
  Metric.update(Metric.withAttributes(CommandMetrics.calls, { group: "a", key: "k", outcome }), n)
const took = (...seconds: ReadonlyArray<number>) =>
  Effect.forEach(seconds, (second) => Metric.update(CommandMetrics.duration, second))

const text = (...threads: ReadonlyArray<Snapshots>) => prometheusText(mergeMetrics(threads)).split("\n")

describe("mergeMetrics", () => {
  it("counters add up, each by its attributes, whatever their order", () => {
    const other = Metric.withAttributes(CommandMetrics.calls, { outcome: "success", key: "k", group: "a" })
    const lines = text(
      thread(Effect.all([calls("success", 2), calls("failure", 1)])),
      thread(Metric.update(other, 3))
    )
    assert.include(lines, "blackgate_command_calls_total{group=\"a\",key=\"k\",outcome=\"success\"} 5")
    assert.include(lines, "blackgate_command_calls_total{group=\"a\",key=\"k\",outcome=\"failure\"} 1")
    assert.lengthOf(lines.filter((line) => line.startsWith("# TYPE")), 1)
  })

  it("counters of bigints add up", () => {
    const big = Metric.counter("big", { bigint: true })
    assert.include(text(thread(Metric.update(big, 2n ** 60n)), thread(Metric.update(big, 1n))), `big ${2n ** 60n + 1n}`)
  })

  it("gauges add up, but the limit of a pool, which is one for all", () => {
    const pool = (active: number, queued: number) =>
      thread(Effect.all([
        Metric.update(CommandMetrics.poolActive, active),
        Metric.update(CommandMetrics.poolMaxQueued, queued),
        Metric.update(CommandMetrics.poolMaxConcurrent, 7)
      ]))
    const lines = text(pool(1, 10), pool(2, 10))
    assert.include(lines, "blackgate_pool_active 3")
    assert.include(lines, "blackgate_pool_max_queued 20")
    assert.include(lines, "blackgate_pool_max_concurrent 7")
  })

  it("histograms are what one of all the calls would be", () => {
    const [a, b] = [[0.002, 0.3, 70], [0.0001, 0.002, 4]]
    assert.deepStrictEqual(text(thread(took(...a!)), thread(took(...b!))), text(thread(took(...a!, ...b!))))
    assert.deepStrictEqual(text(thread(took(...a!)), thread(took())), text(thread(took(...a!))))
    assert.deepStrictEqual(text(thread(took()), thread(took(...a!))), text(thread(took(...a!))))
  })

  it("frequencies add up by word", () => {
    const words = Metric.frequency("words")
    const said = (...all: ReadonlyArray<string>) => thread(Effect.forEach(all, (word) => Metric.update(words, word)))
    const lines = text(said("a", "b"), said("b", "c"))
    for (const [word, n] of [["a", 1], ["b", 2], ["c", 1]]) assert.include(lines, `words{key="${word}"} ${n}`)
  })

  it("none make none, and one is that one", () => {
    assert.deepStrictEqual(mergeMetrics([]), [])
    const one = thread(calls("success", 2))
    assert.deepStrictEqual(mergeMetrics([one]), one)
  })
})

describe("Counted", () => {
  const success = (snapshots: Snapshots) =>
    snapshots.flatMap((each) => each.type === "Counter" ? [Number(each.state.count)] : [])
  const answer = (place: number, worker: string, n: number) => ({
    place,
    worker,
    value: thread(Effect.all([calls("success", n), Metric.update(CommandMetrics.poolActive, 1)]))
  })

  it("a counter does not go back when a worker dies, is away, and is replaced", () => {
    const counted = new Counted()
    assert.deepStrictEqual(success(counted.all([answer(0, "a", 5), answer(1, "b", 7)])), [12])
    assert.deepStrictEqual(success(counted.all([answer(0, "a", 6)])), [13])
    assert.deepStrictEqual(success(counted.all([answer(0, "a", 6), answer(1, "c", 1)])), [14])
    assert.deepStrictEqual(success(counted.all([answer(0, "a", 6), answer(1, "d", 0)])), [14])
    assert.deepStrictEqual(success(counted.all([answer(0, "e", 2), answer(1, "d", 0)])), [16])
  })

  it("a gauge says only what is now", () => {
    const counted = new Counted()
    counted.all([answer(0, "a", 5), answer(1, "b", 7)])
    const gauges = counted.all([answer(0, "a", 5)]).flatMap((each) => each.type === "Gauge" ? [each.state.value] : [])
    assert.deepStrictEqual(gauges, [1])
  })

  it("what nobody counts any more is not shown by who has died", () => {
    const counted = new Counted()
    counted.all([answer(0, "a", 5), answer(1, "b", 7)])
    assert.deepStrictEqual(counted.all([{ place: 0, worker: "a", value: [] }]), [])
  })
})
