import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../harness/eventually.ts"
import * as OtlpCollector from "../harness/OtlpCollector.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { ask } from "./ask.ts"
import { gateway, upstream } from "./gatewayFolder.ts"

const file = (url: string, otlp: string) =>
  `port: 0\nroutes:\n  - { name: all, upstream: "${url}" }\ntelemetry: { otlp: { ${otlp} } }\n`

describe("telemetry of the program", { concurrent: false }, () => {
  it.live("what has come together is sent when the program stops, its log, too", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { url } = yield* upstream("a")
      const text = file(url, `url: "${collector.url}", interval: 1h`)
      const program = yield* gateway(text)
      assert.strictEqual((yield* ask(program.origin)).status, 200)
      yield* program.reload(`${text}log: { format: json }\n`, /reloaded/)
      assert.lengthOf(collector.posts, 0)
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 0)
      assert.lengthOf(collector.spans, 2)
      assert.isTrue(collector.logs.some((line) => line.startsWith("reloaded")), collector.logs.join("\n"))
      assert.include(collector.metrics, "blackgate_command_calls_total")
    }), 60_000)

  it.live(
    "a collector that is down is one line of the log, and the program stops as ever",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const port = yield* RawUpstream.deadPort
        const program = yield* gateway(file(url, `url: "http://127.0.0.1:${port}", interval: 20ms`))
        const isTold = () => program.output().includes("telemetry can't be sent")
        for (let i = 0; i < 1000 && !isTold(); i++) {
          assert.strictEqual((yield* ask(program.origin)).status, 200)
        }
        yield* eventually("a line", isTold, program.output)
        for (let i = 0; i < 50; i++) assert.strictEqual((yield* ask(program.origin)).status, 200)
        assert.lengthOf(program.output().match(/WARN/g)!, 1)
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }),
    60_000
  )
})
