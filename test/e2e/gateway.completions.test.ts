import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { run } from "../harness/run.ts"
import { folder } from "./gatewayFolder.ts"
import { blackgate } from "./process.ts"

// What bash does when somebody presses Tab at the end of a line.
const tab = `
source completions
COMP_LINE=$1 COMP_POINT=\${#1}
read -ra COMP_WORDS <<<"$1"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_blackgate blackgate "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "\${COMPREPLY[@]}"`

describe("--completions bash", () => {
  it.live("completes commands, flags, and what flags take", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const env = { PATH: "/usr/bin:/bin" }
      const { exitCode, stdout } = yield* run(blackgate, ["--completions", "bash"], { cwd, env })
      assert.strictEqual(exitCode, 0)
      Fs.writeFileSync(Path.join(cwd, "completions"), stdout)
      const completed = (line: string) =>
        Effect.map(run("bash", ["-c", tab, "bash", line], { cwd, env }), ({ stderr, stdout }) => {
          assert.strictEqual(stderr, "")
          return stdout.trim().split(/\s+/)
        })
      assert.sameMembers([...(yield* completed("blackgate st"))], ["start", "stop", "status"])
      assert.deepStrictEqual(yield* completed("blackgate --pid"), ["--pidfile"])
      assert.deepStrictEqual(yield* completed("blackgate routes --ex"), ["--explain"])
      assert.sameMembers([...(yield* completed("blackgate --log-format "))], ["text", "json"])
    }), 60_000)
})
