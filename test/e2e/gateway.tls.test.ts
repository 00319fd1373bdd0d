import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { connect } from "node:tls"
import { authority } from "../harness/Certificates.ts"
import { gateway, upstream } from "./gatewayFolder.ts"

const ca = authority()

/** The subject of who answers, and what it answers. */
const ask = (port: string) =>
  Effect.callback<{ readonly subject: unknown; readonly answer: string }>((resume) => {
    const socket = connect({ port: Number(port), host: "127.0.0.1", servername: "a.example", ca: ca.cert }, () => {
      const subject = socket.getPeerCertificate().subject.CN
      let answer = ""
      socket.setEncoding("utf8").on("data", (text: string) => {
        answer += text
      }).once("end", () => resume(Effect.succeed({ subject, answer })))
      socket.write("GET /1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
    }).once("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

/** Those of so many connections that each worker has some. */
const subjects = (port: string) =>
  Effect.map(Effect.forEach(Array.from({ length: 16 }), () => ask(port)), (all) => [
    ...new Set(all.map(({ subject }) => subject))
  ])

describe.each([1, 2])("TLS with --workers %i", { concurrent: false }, (workers) => {
  it.live(
    "is listened to with the certificates of the file, which a reload reads anew; one that does not fit its key changes nothing",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const folder = Fs.mkdtempSync("/tmp/blackgate-pem-")
        yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(folder, { recursive: true })))
        const write = ({ cert, key }: { readonly cert: string; readonly key: string }) => {
          Fs.writeFileSync(Path.join(folder, "cert.pem"), cert)
          Fs.writeFileSync(Path.join(folder, "key.pem"), key)
        }
        const text =
          `listen:\n  port: 0\n  tls:\n    certificates: [{ cert: ${folder}/cert.pem, key: ${folder}/key.pem }]\n`
          + `routes:\n  - upstream: ${url}\n`
        const first = ca.issue("/CN=first", "a.example")
        const second = ca.issue("/CN=second", "a.example")
        write(first)
        const program = yield* gateway(text, { args: ["--workers", String(workers)] })
        const { port } = new URL(program.origin)
        const one = yield* ask(port)
        assert.strictEqual(one.subject, "first")
        assert.match(one.answer, /^HTTP\/1\.1 200 OK\r\n[^]*a \/1/)

        write({ cert: second.cert, key: first.key })
        yield* program.reload(text, /ERROR not reloaded/)
        assert.match(
          program.output(),
          /blackgate\.yml:4:20: listen\.tls\.certificates\[0\]: TLS can't use this: the key is not that of the certificate \(.*mismatch\)/
        )
        assert.deepStrictEqual(yield* subjects(port), ["first"])

        write(second)
        yield* program.reload(text, /INFO reloaded/)
        assert.deepStrictEqual(yield* subjects(port), ["second"])
      }),
    60_000
  )
})
