import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { authority } from "../harness/Certificates.ts"
import { eventuallyEqual } from "../harness/eventually.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { run } from "../harness/run.ts"
import * as Served from "../harness/Served.ts"

/** Programs that others wrote, against a server of ours. `.ci/run` installs them; without one, its tests are skipped. */
const without = (program: string): boolean => spawnSync(program, ["--version"]).error !== undefined

const say = (program: string, ...args: ReadonlyArray<string>) =>
  Effect.map(run(program, args, { cwd: Os.tmpdir(), env: { PATH: process.env["PATH"]! } }), (ran) => {
    const said = ran.stdout + ran.stderr
    assert.strictEqual(Number(ran.exitCode), 0, said)
    return said
  })

const lives = (served: Served.Served) =>
  Effect.gen(function*() {
    const client = yield* served.connect
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.strictEqual(status(yield* client.message()), 200)
  })

const proxying = Effect.gen(function*() {
  const upstream = yield* RawUpstream.answering(() => RawUpstream.response("hello from the upstream"))
  const ca = authority()
  const tls = { certificates: [ca.issue("localhost")] } as const
  const plain = yield* Served.proxying({ upstream: upstream.url })
  const encrypted = yield* Served.proxying({ upstream: upstream.url }, { tls })
  return { plain, encrypted, ca }
})

describe("27. outside clients through a gateway", { concurrent: false, timeout: 60_000 }, () => {
  describe.skipIf(without("h2load"))("h2load", () => {
    for (
      const [what, ...args] of [
        ["HTTP/2 without TLS", "-m10"],
        ["HTTP/1.1", "--h1"]
      ] as const
    ) {
      it.live(`${what}: every request succeeds`, () =>
        Effect.gen(function*() {
          const { plain } = yield* proxying
          const said = yield* say("h2load", "-n500", "-c5", ...args, `http://127.0.0.1:${plain.port}/`)
          assert.include(said, "500 succeeded, 0 failed, 0 errored, 0 timeout")
          assert.include(said, "500 2xx")
          yield* plain.becomes("0 active, 0 queued")
          assert.deepStrictEqual(yield* plain.outcomes, { success: 500 })
        }))
    }

    it.live("HTTP/2 by ALPN: every request succeeds", () =>
      Effect.gen(function*() {
        const { encrypted } = yield* proxying
        const said = yield* say("h2load", "-n500", "-c5", "-m10", `https://127.0.0.1:${encrypted.port}/`)
        assert.include(said, "Application protocol: h2")
        assert.include(said, "500 succeeded, 0 failed, 0 errored, 0 timeout")
      }))
  })

  describe.skipIf(without("curl"))("curl", () => {
    for (
      const [flag, version] of [["--http2-prior-knowledge", "2"], ["--http1.1", "1.1"], ["--http1.0", "1.1"]] as const
    ) {
      it.live(`${flag}, a body there and an answer back`, () =>
        Effect.gen(function*() {
          const { plain } = yield* proxying
          const said = yield* say(
            "curl",
            "-s",
            flag,
            "-d",
            "hello",
            "-w",
            " %{http_version} %{http_code}",
            `http://127.0.0.1:${plain.port}/`
          )
          assert.strictEqual(said, `hello from the upstream ${version} 200`)
        }))
    }

    for (const [flag, version] of [["--http2", "2"], ["--http1.1", "1.1"]] as const) {
      it.live(`${flag} over TLS, with a certificate that it checks`, () =>
        Effect.gen(function*() {
          const { ca, encrypted } = yield* proxying
          const file = Path.join(Fs.mkdtempSync(Path.join(Os.tmpdir(), "blackgate-curl-")), "ca.pem")
          Fs.writeFileSync(file, ca.cert)
          const said = yield* say(
            "curl",
            "-s",
            flag,
            "--cacert",
            file,
            "--connect-to",
            `localhost:443:127.0.0.1:${encrypted.port}`,
            "-w",
            " %{http_version} %{http_code}",
            "https://localhost/"
          )
          assert.strictEqual(said, `hello from the upstream ${version} 200`)
          Fs.rmSync(Path.dirname(file), { recursive: true })
        }))
    }
  })
})

describe.skipIf(without("slowhttptest"))("24. slowhttptest", { concurrent: false, timeout: 60_000 }, () => {
  const attacks: ReadonlyArray<readonly [what: string, args: ReadonlyArray<string>, reason: string]> = [
    ["heads without an end (slowloris)", ["-H", "-i", "1"], "its request head took too long"],
    ["bodies without an end", ["-B", "-i", "30"], "its request body took too long"],
    ["answers that nobody reads", ["-X", "-w", "1", "-y", "2", "-n", "30", "-z", "1", "-k", "1"], "does not read"]
  ]
  for (const [what, args, reason] of attacks) {
    it.live(`${what}: others are served, and every connection is gone before the attack is over`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make((wire) =>
          Effect.gen(function*() {
            const { startLine } = yield* wire.head
            if (startLine.startsWith("GET /large")) {
              wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${16 * 1024 * 1024}\r\n\r\n`)
              wire.pour(16 * 1024 * 1024)
            } else if (startLine.startsWith("GET")) wire.send(RawUpstream.response("ok"))
          })
        )
        const served = yield* Served.proxying(
          { upstream: upstream.url },
          { headTimeout: 1000, bodyTimeout: 1000, stallTimeout: 1000 }
        )
        const attack = yield* Effect.forkChild(
          say("slowhttptest", ...args, "-c", "50", "-r", "50", "-l", "6", "-u", `http://127.0.0.1:${served.port}/large`)
        )
        yield* served.logged(reason)
        yield* lives(served)
        yield* eventuallyEqual("the end of the attackers", true, Effect.map(served.server.connections, (n) => n <= 2))
        yield* served.becomes("0 active, 0 queued")
        attack.interruptUnsafe()
      }))
  }
})
