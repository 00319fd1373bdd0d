import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { run } from "../harness/run.ts"
import * as Served from "../harness/Served.ts"

/**
 * Clients and servers that others wrote, with a gateway between: `vtc/*.vtc` say what is sent, and what has to arrive.
 * `.ci/run` installs the program; without it, the tests are skipped.
 */
const isMissing = spawnSync("varnishtest", ["-h"]).error !== undefined
const scripts = Path.join(import.meta.dirname, "vtc")

/** A port that is free, and that the system gives to nobody who does not ask for it. */
const freePort = Random.nextIntBetween(10_000, 30_000).pipe(
  Effect.flatMap((port) =>
    Effect.callback<number, Error>((resume) => {
      const server = Net.createServer().once("error", (error) => resume(Effect.fail(error)))
      server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
    })
  ),
  Effect.retry({ times: 100 })
)

describe.skipIf(isMissing)("varnishtest, on both sides of the gateway", { timeout: 60_000 }, () => {
  for (const script of Fs.readdirSync(scripts)) {
    const [, title] = /^varnishtest "(.+)"$/m.exec(Fs.readFileSync(Path.join(scripts, script), "utf8"))!
    it.live(title!, () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const served = yield* Served.proxying({ upstream: `http://127.0.0.1:${port}` })
        const { exitCode, stderr, stdout } = yield* run("varnishtest", [
          "-t30",
          `-Dgateway=127.0.0.1 ${served.port}`,
          `-Dupstream=127.0.0.1 ${port}`,
          `-Dauthority=127.0.0.1:${port}`,
          Path.join(scripts, script)
        ], { cwd: Os.tmpdir(), env: { PATH: process.env["PATH"]! } })
        assert.strictEqual(Number(exitCode), 0, stdout + stderr)
        yield* served.becomes("0 active, 0 queued")
      }))
  }
})
