import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Pidfile from "../../packages/gateway/src/internal/Pidfile.ts"
import { folder } from "../e2e/gatewayFolder.ts"

const written = (text: string) =>
  Effect.map(folder, (path) => {
    const file = Path.join(path, "gateway.pid")
    Fs.writeFileSync(file, text)
    return file
  })

describe("Pidfile", () => {
  for (
    const [what, text] of [["nothing", ""], ["no number", "abc"], ["a process that is gone", "2147483646\n"], [
      "0",
      "0"
    ], ["-1", "-1"]] as const
  ) {
    it.effect(`of ${what} is one that is vacant`, () =>
      Effect.gen(function*() {
        const file = yield* written(text)
        assert.isUndefined(Pidfile.running(file))
        yield* Pidfile.vacant(file)
      }))
  }

  // The number has gone to another program: this one.
  it.effect("of a process that is another program's is one that is vacant", () =>
    Effect.gen(function*() {
      assert.isUndefined(Pidfile.running(yield* written(`${process.pid}\n`)))
    }))

  it.effect("names this process while it is written, and is gone with the scope", () =>
    Effect.gen(function*() {
      const file = yield* written("2147483646\n")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Pidfile.write(file)
        assert.strictEqual(Fs.readFileSync(file, "utf8"), `${process.pid}\n`)
      }))
      assert.isFalse(Fs.existsSync(file))
    }))

  it.effect("that another process has written in the meantime stays", () =>
    Effect.gen(function*() {
      const file = yield* written("")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Pidfile.write(file)
        Fs.writeFileSync(file, "1\n")
      }))
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "1\n")
    }))

  // To read them would never end.
  for (const device of ["/dev/zero", "/dev/full", "/dev/null"]) {
    it.effect(`that is ${device} is one that is vacant`, () => Pidfile.vacant(device))
  }

  it.effect("that is a pipe is one that is vacant, and is refused when it is to be written", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* folder, "pipe")
      execFileSync("mkfifo", [file])
      yield* Pidfile.vacant(file)
      const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write(file)))
      assert.strictEqual(message, "the pidfile can't be written: it is a pipe (--pidfile names another)")
    }))

  it.effect("in a folder that is not there says so", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write("/nonexistent/gateway.pid")))
      assert.match(message, /^the pidfile can't be written: ENOENT.*\(--pidfile names another\)$/)
    }))
})
