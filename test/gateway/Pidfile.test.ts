import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
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

  it.effect("in a folder that is not there says so", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write("/nonexistent/gateway.pid")))
      assert.match(message, /^the pidfile can't be written: ENOENT.*\(--pidfile names another\)$/)
    }))

  // Whose text a program of ours would take for one of a process that runs.
  for (const text of ["1e0", "0x1", "1.0", "+1", " 1 2"]) {
    it.effect(`of ${text} is one that is vacant: it is no number of a process`, () =>
      Effect.gen(function*() {
        assert.isUndefined(Pidfile.pidIn(yield* written(text)))
      }))
  }

  it.effect("that is a link is replaced, and what it leads to stays as it is", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const [file, other] = [Path.join(path, "gateway.pid"), Path.join(path, "precious")]
      for (const text of ["of some value\n", ""]) {
        Fs.writeFileSync(other, text)
        Fs.symlinkSync(other, file)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Pidfile.write(file)
          assert.isTrue(Fs.lstatSync(file).isFile())
          assert.strictEqual(Pidfile.pidIn(file), process.pid)
        }))
        assert.strictEqual(Fs.readFileSync(other, "utf8"), text)
      }
      assert.deepStrictEqual(Fs.readdirSync(path), ["precious"])
    }))

  it.effect("that is some other file is left alone, and so is what is no file", () =>
    Effect.gen(function*() {
      const file = yield* written("root:x:0:0:root:/root\n")
      const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write(file)))
      assert.strictEqual(
        message,
        `the pidfile can't be written: ${file} is there, and is no pidfile (--pidfile names another)`
      )
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "root:x:0:0:root:/root\n")
      for (const device of ["/dev/null", "/dev/zero", Path.dirname(file)]) {
        assert.isUndefined(Pidfile.running(device))
        const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write(device)))
        assert.include(message, "is no pidfile")
      }
    }))

  it.effect("that is a pipe keeps nobody waiting", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* folder, "pipe")
      spawnSync("mkfifo", [file])
      assert.isUndefined(Pidfile.running(file))
      const { message } = yield* Effect.flip(Effect.scoped(Pidfile.write(file)))
      assert.include(message, "is no pidfile")
    }))

  it.effect("that a crash of the machine has left, full of zeros, is replaced", () =>
    Effect.gen(function*() {
      const file = yield* written("\0\0\0\0\0")
      yield* Effect.scoped(Pidfile.write(file))
      assert.isFalse(Fs.existsSync(file))
    }))
})
