import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { run } from "../harness/run.ts"

const root = Path.resolve(import.meta.dirname, "../..")
const { version } = JSON.parse(Fs.readFileSync(Path.join(root, "packages/gateway/package.json"), "utf8"))

// As a user would meet it: from some other folder, with a PATH that knows nothing of this project.
const blackgate = (...args: Array<string>) =>
  run(Path.join(root, "node_modules/.bin/blackgate"), args, { cwd: Os.tmpdir(), env: { PATH: "/usr/bin:/bin" } })

describe("blackgate", () => {
  for (const flag of ["--version", "-v"]) {
    it.live(`${flag} prints the version of its package and nothing else`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* blackgate(flag), {
          stdout: `blackgate v${version}\n`,
          stderr: "",
          exitCode: 0
        })
      }), 30_000)
  }

  for (const args of [["--help"], ["-h"], []]) {
    it.live(`${args.join(" ") || "without arguments it"} prints what it knows`, () =>
      Effect.gen(function*() {
        const { exitCode, stderr, stdout } = yield* blackgate(...args)
        assert.include(stdout, "--version")
        assert.include(stdout, "--help")
        assert.deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
      }), 30_000)
  }

  for (const unknown of ["--verison", "-x", "strat"]) {
    it.live(`${unknown}, which it does not know, is named on stderr and fails`, () =>
      Effect.gen(function*() {
        const { exitCode, stderr } = yield* blackgate(unknown)
        assert.include(stderr, unknown)
        assert.notStrictEqual(exitCode, 0)
      }), 30_000)
  }
})
