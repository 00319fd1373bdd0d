// What systemd is told, by its own `systemd-notify`, and what it thinks of the unit.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { run } from "../harness/run.ts"
import { folder } from "./gatewayFolder.ts"
import { printed, startBlackgate } from "./process.ts"

const has = (program: string) => {
  try {
    execFileSync("/bin/sh", ["-c", `command -v ${program}`], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

// Node has no datagram sockets of Unix, and every Debian has a Perl.
const receiver = `
use IO::Socket::UNIX;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
$| = 1;
print "ready\\n";
while (defined $socket->recv(my $told, 4096)) { print "$told\\n" }`

describe.skipIf(!has("systemd-notify") || !has("perl"))("systemd, by systemd-notify", { concurrent: false }, () => {
  it.live("is told when the gateway listens, and when it drains", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const path = Path.join(cwd, "notify")
      let told = ""
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const child = spawn("perl", ["-e", receiver, path], { stdio: ["ignore", "pipe", "inherit"] })
          child.stdout.setEncoding("utf8").on("data", (text: string) => {
            told += text
          })
          return child
        }),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      yield* eventually("the socket", () => told.includes("ready"))
      Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), "port: 0\nroutes: []\n")
      const program = yield* startBlackgate(cwd, ["start"], { NOTIFY_SOCKET: path })
      yield* printed(program, /listens on/)
      yield* eventually("READY=1", () => /^READY=1$/m.test(told), () => told)
      assert.notInclude(told, "STOPPING")
      yield* program.signal("SIGTERM")
      yield* eventually("STOPPING=1", () => /^STOPPING=1$/m.test(told), () => told)
      assert.strictEqual(yield* program.ended, 0)
    }), 60_000)

  it.live("finds nothing wrong with the unit", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const unit = Fs.readFileSync(Path.resolve(import.meta.dirname, "../../deploy/blackgate.service"), "utf8")
      assert.match(unit, /^Type=notify$/m)
      // A program that is here in place of the one that will be there.
      Fs.writeFileSync(Path.join(cwd, "blackgate.service"), unit.replaceAll("/usr/local/bin/blackgate", "/bin/true"))
      const { exitCode, stderr } = yield* run("systemd-analyze", ["verify", "--man=no", "./blackgate.service"], {
        cwd,
        env: { PATH: "/usr/sbin:/usr/bin:/bin" }
      })
      // Other units of the machine are none of its business.
      const ours = stderr.split("\n").filter((line) => line.includes("blackgate"))
      assert.deepStrictEqual([ours, exitCode], [[], 0])
    }), 60_000)
})
