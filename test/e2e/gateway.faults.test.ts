// What a gateway does not start with, and what it says then.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { authority } from "../harness/Certificates.ts"
import { run } from "../harness/run.ts"
import { folder } from "./gatewayFolder.ts"
import { blackgate, printed, startBlackgate } from "./process.ts"

const config = "port: 0\nroutes: [{ upstream: \"http://127.0.0.1:1\" }]\n"

const env = { PATH: "/usr/bin:/bin" }

/** Starts it with what is in the folder; it is expected to end by itself. */
const fails = (cwd: string, ...args: ReadonlyArray<string>) =>
  Effect.map(
    run(blackgate, [...args, "start"], { cwd, env }),
    ({ exitCode, stderr, stdout }) => ({ exitCode, stderr, stdout })
  )

/** The same as an ordinary user: one that has no more rights than it owns. */
const failsAsUser = (cwd: string, ...args: ReadonlyArray<string>) =>
  process.getuid?.() === 0
    ? run("setpriv", ["--bounding-set=-all", "--inh-caps=-all", blackgate, ...args, "start"], { cwd, env })
    : run(blackgate, [...args, "start"], { cwd, env })

const put = (cwd: string, text: string | Buffer, name = "blackgate.yml") =>
  Effect.sync(() => Fs.writeFileSync(Path.join(cwd, name), text))

/** The first port that anybody may listen on; 0 in many containers. */
const firstFree = () => Number(Fs.readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"))

// One after the other: each has processes of its own, and a machine has few cores.
describe("a gateway that can't start says why, and ends", { concurrent: false }, () => {
  it.live("with 1 if the port is in use", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const port = yield* Effect.acquireRelease(
        Effect.callback<{ readonly number: number; readonly close: () => void }>((resume) => {
          const server = createServer().listen(0, () => {
            resume(Effect.succeed({ number: (server.address() as AddressInfo).port, close: () => server.close() }))
          })
        }),
        ({ close }) => Effect.sync(close)
      )
      yield* put(cwd, config.replace("port: 0", `port: ${port.number}`))
      const { exitCode, stderr, stdout } = yield* fails(cwd)
      assert.deepStrictEqual(
        [exitCode, stderr, stdout],
        [1, `can't listen on port ${port.number}: it is in use by another program (EADDRINUSE)\n`, ""]
      )
    }), 60_000)

  it.live("with 1 if the port takes rights that the user has not", () =>
    Effect.gen(function*() {
      // Where everybody has them there is nothing to refuse.
      if (firstFree() <= 7) return
      const cwd = yield* folder
      yield* put(cwd, config.replace("port: 0", "port: 7"))
      const { exitCode, stderr } = yield* failsAsUser(cwd)
      assert.deepStrictEqual(
        [exitCode, stderr],
        [1, "can't listen on port 7: it takes more rights than this user has (EACCES)\n"]
      )
    }), 60_000)

  it.live("with 2 if the config, or a file that it names, can't be read by the user", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      yield* put(cwd, config)
      Fs.chmodSync(Path.join(cwd, "blackgate.yml"), 0)
      const unreadable = yield* failsAsUser(cwd)
      assert.strictEqual(unreadable.exitCode, 2)
      assert.include(unreadable.stderr, "/blackgate.yml: it can't be read: EACCES: permission denied")

      yield* put(cwd, "", "cert.pem")
      Fs.chmodSync(Path.join(cwd, "cert.pem"), 0)
      yield* put(
        cwd,
        "listen: { port: 0, tls: { certificates: [{ cert: cert.pem, key: cert.pem }] } }\nroutes: []\n",
        "tls.yml"
      )
      const { exitCode, stderr } = yield* failsAsUser(cwd, "-c", "tls.yml")
      assert.strictEqual(exitCode, 2)
      assert.match(stderr, /tls\.yml:1:\d+: listen\.tls\.certificates\[0\]\.cert: cert\.pem can't be read: EACCES/)
    }), 60_000)

  it.live("with 2 if a certificate and its key don't match", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const ca = authority()
      yield* put(cwd, ca.issue("a.example").cert, "cert.pem")
      yield* put(cwd, ca.issue("b.example").key, "key.pem")
      yield* put(
        cwd,
        "listen:\n  port: 0\n  tls:\n    certificates: [{ cert: cert.pem, key: key.pem }]\nroutes: []\n"
      )
      const { exitCode, stderr } = yield* fails(cwd)
      assert.strictEqual(exitCode, 2)
      assert.match(
        stderr,
        /blackgate\.yml:4:20: listen\.tls\.certificates\[0\]: TLS can't use this: the key is not that of the certificate \(.*mismatch\)/
      )
    }), 60_000)

  it.live(
    "with 2, at once, if the config is a folder, a pipe, a device, too large, no text, or too deep",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        const says = (name: string, message: string) =>
          Effect.gen(function*() {
            const { exitCode, stderr } = yield* fails(cwd, "-c", name)
            assert.strictEqual(exitCode, 2, name)
            assert.include(stderr, message)
            // Whatever is in it, it does not fill a terminal.
            assert.isBelow(stderr.length, 1000)
          })
        Fs.mkdirSync(Path.join(cwd, "folder"))
        yield* run("mkfifo", ["pipe"], { cwd, env })
        yield* put(cwd, Buffer.alloc(16 * 1024 * 1024 + 1, "#"), "large")
        yield* put(cwd, Buffer.from([0xff, 0xfe, 0x70, 0x00]), "utf16")
        yield* put(cwd, Buffer.alloc(1000), "binary")
        yield* put(cwd, "[".repeat(100_000), "open")
        yield* put(cwd, `routes: ${"[".repeat(300)}${"]".repeat(300)}`, "deep")
        yield* says("none", "none: it can't be read: ENOENT: no such file or directory")
        yield* says("folder", "folder: it can't be read: it is a folder")
        yield* says("pipe", "pipe: it can't be read: it is not a regular file")
        yield* says("/dev/zero", "/dev/zero: it can't be read: it is not a regular file")
        yield* says("large", "large: it can't be read: it is larger than 16 MiB")
        yield* says("utf16", "utf16: it is not UTF-8")
        yield* says("binary", "binary: it is not text")
        yield* says("open", "it is nested too deeply")
        yield* says("deep", "it is nested too deeply")
      }),
    60_000
  )

  it.live("with 2, at once, if aliases unfold to more than a config can be", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const tens = (of: string) => `[${Array.from({ length: 10 }, () => of).join(", ")}]`
      const bomb = ["a0: &a0 [x]"]
      for (let i = 1; i < 12; i++) bomb.push(`a${i}: &a${i} ${tens(`*a${i - 1}`)}`)
      yield* put(cwd, `${bomb.join("\n")}\n`)
      const { exitCode, stderr } = yield* fails(cwd)
      assert.strictEqual(exitCode, 2)
      assert.include(stderr, "it is too large")
    }), 60_000)

  it.live("with 1 if the pidfile can't be written, or names a gateway that runs", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      yield* put(cwd, config)
      const nowhere = yield* fails(cwd, "--pidfile", "no/such/folder.pid")
      assert.strictEqual(nowhere.exitCode, 1)
      assert.match(nowhere.stderr, /^the pidfile can't be written: ENOENT: .* \(--pidfile names another\)\n$/)
      yield* put(cwd, "", "owned.pid")
      Fs.chmodSync(Path.join(cwd, "owned.pid"), 0o400)
      const owned = yield* failsAsUser(cwd, "--pidfile", "owned.pid")
      assert.strictEqual(owned.exitCode, 1)
      assert.match(owned.stderr, /^the pidfile can't be written: EACCES: /)

      const first = yield* startBlackgate(cwd, ["--pidfile", "a.pid", "start"])
      yield* printed(first, /listens on/)
      const { exitCode, stderr } = yield* fails(cwd, "--pidfile", "a.pid")
      assert.deepStrictEqual(
        [exitCode, stderr],
        [1, `blackgate runs already: process ${first.pid}, by ${Path.join(Fs.realpathSync(cwd), "a.pid")}\n`]
      )
      // It is still that of the first one.
      assert.strictEqual(Fs.readFileSync(Path.join(cwd, "a.pid"), "utf8"), `${first.pid}\n`)
    }), 60_000)

  it.live(
    "but starts over a pidfile of a process that is gone, or that is another program's",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        yield* put(cwd, config)
        // One that is gone; this one; what is no number.
        for (const pid of ["2147483646", String(process.pid), "-1", "x"]) {
          yield* put(cwd, `${pid}\n`, "a.pid")
          const stop = yield* run(blackgate, ["--pidfile", "a.pid", "stop"], { cwd, env })
          assert.deepStrictEqual([stop.exitCode, stop.stderr], [1, "Blackgate does not run, by a.pid\n"])
          const program = yield* startBlackgate(cwd, ["--pidfile", "a.pid", "start"])
          yield* printed(program, /listens on/)
          assert.strictEqual(Fs.readFileSync(Path.join(cwd, "a.pid"), "utf8"), `${program.pid}\n`)
          yield* program.signal("SIGTERM")
          assert.strictEqual(yield* program.ended, 0)
          assert.isFalse(Fs.existsSync(Path.join(cwd, "a.pid")))
        }
      }),
    60_000
  )
})
