import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { run } from "../harness/run.ts"
import { folder } from "./gatewayFolder.ts"
import { blackgate } from "./process.ts"

/** `.ci/run` installs them; without one, its test is skipped. */
const shells = { bash: ["--norc"], fish: ["--no-config"], zsh: ["-f"] } as const

const commands = ["start", "stop", "restart", "status", "reload", "check", "routes", "schema", "init"]

/** What is offered, whatever its order. */
const expected: ReadonlyArray<readonly [line: string, offers: ReadonlyArray<string>]> = [
  ["blackgate st", ["start", "stop", "status"]],
  ["blackgate --pid", ["--pidfile"]],
  ["blackgate routes --ex", ["--explain"]],
  ["blackgate --log-format ", ["text", "json"]],
  ["blackgate --log-format j", ["json"]],
  // As most lines begin.
  ["blackgate -c x.yml st", ["start", "stop", "status"]],
  ["blackgate --config=x.yml st", ["start", "stop", "status"]],
  ["blackgate --workers 2 --no-daemon rest", ["restart"]],
  ["blackgate -c x.yml routes --ex", ["--explain"]],
  // One command is enough, and a file is a file.
  ["blackgate start stop", []],
  ["blackgate -c x", ["x.yml"]],
  ["blackgate start --pidfile x", ["x.yml"]]
]

describe("--completions", { concurrent: false, timeout: 60_000 }, () => {
  for (const [shell, args] of Object.entries(shells)) {
    it.live.skipIf(spawnSync(shell, ["--version"]).error !== undefined)(
      `${shell} completes commands, flags, and what flags take, also where a flag stands before the command`,
      () =>
        Effect.gen(function*() {
          const cwd = yield* folder
          const env = { PATH: "/usr/bin:/bin", HOME: cwd, TERM: "xterm", LANG: "C.UTF-8" }
          const { exitCode, stdout } = yield* run(blackgate, ["--completions", shell], { cwd, env })
          assert.strictEqual(Number(exitCode), 0)
          const script = Path.join(import.meta.dirname, `tab.${shell}`)
          Fs.writeFileSync(Path.join(cwd, "_blackgate"), stdout)
          Fs.writeFileSync(Path.join(cwd, "x.yml"), "")
          const offered = (line: string) =>
            Effect.map(run(shell, [...args, script, line], { cwd, env }), ({ stderr, stdout }) => {
              assert.strictEqual(stderr, "")
              return stdout.split("\n").filter((offer) => offer !== "").toSorted()
            })
          for (const [line, offers] of expected) {
            assert.deepStrictEqual(yield* offered(line), offers.toSorted(), line)
          }
          assert.includeMembers(yield* offered("blackgate "), commands)
        })
    )
  }
})
