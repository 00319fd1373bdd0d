import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { run } from "../harness/run.ts"
import { folder } from "./gatewayFolder.ts"
import { blackgate, printed, startBlackgate } from "./process.ts"

const env = { PATH: "/usr/bin:/bin" }

describe("the pidfile", { concurrent: false, timeout: 60_000 }, () => {
  for (const [what, text] of [["none", undefined], ["that of a process which is gone", "2147483646\n"]] as const) {
    it.live(`of several programs that start at once with one of them, where there is ${what}, one runs`, () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), "port: 0\n")
        const file = Path.join(cwd, "gateway.pid")
        if (text !== undefined) Fs.writeFileSync(file, text)
        const start = startBlackgate(cwd, ["--pidfile", file, "start"])
        const programs = [yield* start, yield* start, yield* start]
        yield* eventually("the end of two", () => programs.filter(({ hasEnded }) => hasEnded()).length === 2)
        const [one] = programs.filter(({ hasEnded }) => !hasEnded())
        yield* printed(one!, /listens on/)
        for (const other of programs.filter((each) => each !== one)) {
          assert.strictEqual(yield* other.ended, 1)
          assert.include(other.output(), `blackgate runs already: process ${one!.pid}, by ${file}`)
        }
        assert.deepStrictEqual(Fs.readdirSync(cwd).toSorted(), ["blackgate.yml", "gateway.pid"])
        const status = yield* run(blackgate, ["--pidfile", file, "status"], { cwd, env })
        assert.include(status.stdout, `process ${one!.pid}`)
        const stop = yield* run(blackgate, ["--pidfile", file, "stop"], { cwd, env })
        assert.strictEqual(Number(stop.exitCode), 0, stop.stdout + stop.stderr)
        assert.strictEqual(yield* one!.ended, 0)
        assert.deepStrictEqual(Fs.readdirSync(cwd), ["blackgate.yml"])
      }))
  }
})
