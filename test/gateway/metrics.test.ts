import { CommandMetrics } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { prometheusText } from "../../packages/gateway/src/internal/metrics.ts"
import * as Exposition from "../harness/Exposition.ts"

/** What is exposed of what is counted, without what is only bad style. */
const exposed = (...all: ReadonlyArray<Effect.Effect<unknown>>) => {
  const text = prometheusText(
    Effect.runSync(
      Effect.provideService(Effect.andThen(Effect.all(all), Metric.snapshot), Metric.MetricRegistry, new Map())
    )
  )
  const { problems, ...read } = Exposition.read(text)
  assert.deepStrictEqual(problems.filter((problem) => !problem.endsWith("does not end in _total")), [], text)
  return { ...read, text }
}

const labelled = <Input, State>(metric: Metric.Metric<Input, State>, attributes: Record<string, string>) =>
  Metric.withAttributes(metric, attributes)

// Those of the program are all right; a config module may count what it likes.
describe("/metrics", () => {
  it("labels say what names are, whatever they hold", () => {
    const group = "a\"b\\c\nd\\n ünï ☃ 𝒳\u2028\t\r"
    const { value } = exposed(
      Metric.update(labelled(CommandMetrics.calls, { group, key: "", outcome: "success" }), 2),
      Metric.update(labelled(CommandMetrics.duration, { group }), 0.3)
    )
    assert.strictEqual(value("blackgate_command_calls_total", { group, key: "", outcome: "success" }), 2)
    assert.strictEqual(value("blackgate_command_duration_seconds_bucket", { group, le: "0.5" }), 1)
    assert.strictEqual(value("blackgate_command_duration_seconds_bucket", { group, le: "0.25" }), 0)
  })

  it("two names that are one to Prometheus are one family, and what can't be in it is left out, and named", () => {
    const { families, text, value } = exposed(
      Metric.update(Metric.gauge("my.metric"), 1),
      Metric.update(labelled(Metric.gauge("my_metric"), { a: "b" }), 2),
      Metric.update(Metric.counter("my-metric", { incremental: true }), 3),
      Metric.update(Metric.gauge("my/metric"), 4)
    )
    assert.deepStrictEqual([...families.keys()], ["my_metric"])
    assert.deepStrictEqual([value("my_metric"), value("my_metric", { a: "b" })], [1, 2])
    assert.include(text, "# left out, since others have its name: \"my-metric\"\n")
    assert.include(text, "# left out, since others have its name: \"my/metric\"\n")
  })

  it("what the program counts is shown, whoever else came first with its names", () => {
    const { text, value } = exposed(
      Metric.update(Metric.gauge("blackgate.command.calls_total"), 7),
      Metric.update(CommandMetrics.calls, 1)
    )
    assert.strictEqual(value("blackgate_command_calls_total"), 1)
    assert.include(text, "# left out")
  })

  it("what a histogram needs is no other metric's name", () => {
    const { value } = exposed(
      Metric.update(Metric.histogram("h", { boundaries: [1, 10] }), 2),
      Metric.update(Metric.gauge("h_count"), 7),
      Metric.update(Metric.gauge("s_sum"), 7),
      Metric.update(Metric.summary("s", { maxAge: "1 minute", maxSize: 10, quantiles: [0.5] }), 2)
    )
    assert.deepStrictEqual([value("h_count"), value("s_sum"), value("s_count")], [1, 7, undefined])
  })

  it("a label that has a name of Prometheus's own, or of no letters, has another one", () => {
    const { value } = exposed(
      Metric.update(labelled(Metric.histogram("h", { boundaries: [1] }), { le: "x" }), 1),
      Metric.update(labelled(Metric.gauge("g"), { __name__: "x", "": "y", le: "z" }), 1),
      Metric.update(labelled(Metric.frequency("f"), { key: "x" }), "word")
    )
    assert.strictEqual(value("h_count", { attribute_le: "x" }), 1)
    assert.strictEqual(value("g", { attribute_name_: "x", attribute_: "y", le: "z" }), 1)
    assert.strictEqual(value("f", { attribute_key: "x", key: "word" }), 1)
  })

  it("two labels that have one name to Prometheus are one, with both values", () => {
    const { value } = exposed(Metric.update(labelled(Metric.gauge("g"), { "a.b": "1", a_b: "2" }), 1))
    assert.strictEqual(value("g", { a_b: "1;2" }), 1)
  })

  it("series that differ in what is not shown are not there twice", () => {
    const gauge = Metric.gauge("g")
    const { text, value } = exposed(
      Metric.update(labelled(gauge, { unit: "s" }), 1),
      Metric.update(labelled(gauge, { unit: "ms" }), 2),
      Metric.update(labelled(gauge, { a: "\ud800" }), 3),
      Metric.update(labelled(gauge, { a: "\udfff" }), 4)
    )
    assert.strictEqual(value("g"), 1)
    assert.lengthOf(text.match(/^g/gm)!, 2)
  })

  it("what can go down is no counter, and what is no name has one", () => {
    const { families, value } = exposed(
      Metric.update(Metric.counter("left"), -3),
      Metric.update(Metric.counter("☃", { bigint: true }), 2n ** 60n)
    )
    assert.deepStrictEqual([families.get("left")?.type, value("left")], ["gauge", -3])
    assert.deepStrictEqual([families.get("metric")?.type, value("metric")], ["gauge", 2 ** 60])
  })

  it("a description of several lines is one", () => {
    const { families } = exposed(Metric.update(Metric.gauge("g", { description: "a\\n\nb" }), 1))
    assert.strictEqual(families.get("g")?.help, "a\\\\n\\nb")
  })

  it("nothing is nothing", () => assert.strictEqual(exposed().text, ""))
})
