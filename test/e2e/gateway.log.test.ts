import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Http from "node:http"
import { eventually } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { gateway, upstream } from "./gatewayFolder.ts"

interface Line {
  readonly target: string
  readonly [key: string]: unknown
}

type Program = Effect.Success<ReturnType<typeof gateway>>

/** The line of the access log of a target. */
const lineOf = (program: Program, target: string) =>
  Effect.gen(function*() {
    const found = () =>
      program.output().split("\n").flatMap((line) => line.startsWith("{") ? [JSON.parse(line) as Line] : [])
        .findLast((line) => line.target === target)
    yield* eventually(`a line of ${target}`, () => found() !== undefined, program.output)
    return found()!
  })

const told = (line: Line) => [line["status"], line["outcome"], line["fallback"], line["upstream"]]

const dead = "http://127.0.0.1:1"

describe("the access log", { concurrent: false }, () => {
  it.live("says who has answered, and what had become of the route's own exchange", () =>
    Effect.gen(function*() {
      const { held, url } = yield* upstream("a")
      const program = yield* gateway(`
port: 0
log: { level: none, access: { format: json } }
groups:
  few: { pool: { max_concurrent: 5 }, rate_limit: { limit: 1, window: 1h } }
upstreams:
  backup: { url: "${url}" }
  gone: { url: "${dead}" }
routes:
  - { name: own, match: { path: /own }, upstream: "${url}", max_body_size: 1 }
  - { name: dead, match: { path: /dead }, upstream: "${dead}" }
  - { name: other, match: { path: /other }, upstream: "${dead}", fallback: { upstream: backup, status: 503 } }
  - { name: both, match: { path: /both }, upstream: "${dead}", fallback: { upstream: gone, status: 503 } }
  - { name: neither, match: { path: /neither }, upstream: "${dead}", fallback: { upstream: gone } }
  - { name: status, match: { path: /status }, upstream: "${dead}", fallback: { status: 599 } }
  - { name: slow, match: { path: /slow }, rewrite: { path: /held }, upstream: "${url}", timeout: 50ms }
  - { name: few, match: { path: /few }, upstream: "${url}", group: few }
  - { name: moved, match: { path: /moved }, redirect: { path: /own } }
`)
      for (
        const [path, ...expected] of [
          ["/own", 200, "success", null, url],
          ["/dead", 502, "failure", null, dead],
          ["/other", 200, "failure", "upstream", "backup"],
          ["/both", 503, "failure", "status", null],
          ["/neither", 502, "failure", "upstream", "gone"],
          ["/status", 599, "failure", "status", null],
          ["/slow", 504, "timeout", null, url],
          ["/few", 200, "success", null, url],
          ["/few?again", 429, "rejected", null, url],
          ["/moved", 302, null, null, null],
          ["/nowhere", 404, null, null, null]
        ] as const
      ) {
        yield* Effect.promise(() =>
          fetch(`${program.origin}${path}`, { redirect: "manual" }).then((answer) => answer.text())
        )
        assert.deepStrictEqual(told(yield* lineOf(program, path)), expected, path)
      }
      // The gateway has answered by itself, and nobody was asked.
      yield* Effect.promise(() => fetch(`${program.origin}/own/long`, { method: "POST", body: "too long" }))
      assert.deepStrictEqual(told(yield* lineOf(program, "/own/long")), [413, null, null, null])
      const before = held()
      const leaving = yield* Effect.forkChild(Effect.exit(ask(`${program.origin}/own/held`)))
      yield* eventually("a request at the upstream", () => held() > before)
      yield* Fiber.interrupt(leaving)
      assert.deepStrictEqual(told(yield* lineOf(program, "/own/held")), [499, "interrupted", null, url])
    }), 60_000)

  for (const format of ["json", "common"]) {
    it.live(`has nothing of a client's that a terminal takes for a command: ${format}`, () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* gateway(`
port: 0
log: { level: none, access: { format: ${format} } }
routes:
  - { name: all, upstream: "${url}" }
`)
        const id = "a\u009b31mb\u0085c\u0080\"\\\t"
        yield* Effect.callback<void>((resume) => {
          const headers = { "x-request-id": id }
          Http.get(`${program.origin}/it`, { agent: false, headers }, (response) => {
            response.resume().once("end", () => resume(Effect.void))
          })
        })
        yield* eventually("a line", () => program.output().includes("/it"), program.output)
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(program.output(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
        // A tab at the end is no part of the value.
        if (format === "json") assert.strictEqual((yield* lineOf(program, "/it"))["id"], id.trim())
        else assert.include(program.output(), "\"GET /it HTTP/1.1\" 200")
      }), 60_000)
  }

  it.live("says nobody for the last good answer", () =>
    Effect.gen(function*() {
      const { close, url } = yield* closing
      const program = yield* gateway(`
port: 0
log: { level: none, access: { format: json } }
routes: [{ upstream: "${url}", fallback: { stale: true } }]
`)
      assert.strictEqual((yield* ask(`${program.origin}/a`)).status, 200)
      assert.deepStrictEqual(told(yield* lineOf(program, "/a")), [200, "success", null, url])
      yield* close
      assert.strictEqual((yield* ask(`${program.origin}/a`)).status, 200)
      yield* eventually("another line", () => program.output().split("\"target\":\"/a\"").length === 3, program.output)
      assert.deepStrictEqual(told(yield* lineOf(program, "/a")), [200, "failure", "stale", null])
    }), 60_000)
})

/** An upstream that can go, and come back where it was. */
const closing = Effect.gen(function*() {
  const make = (port: number) =>
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((_, response) => response.end("there"))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    })
  let server = yield* make(0)
  const { port } = server.address() as { readonly port: number }
  const close = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })
  yield* Effect.addFinalizer(() => Effect.ignore(close))
  return {
    url: `http://127.0.0.1:${port}`,
    close,
    open: Effect.map(make(port), (made) => {
      server = made
    })
  }
})

describe("the program's log", { concurrent: false }, () => {
  it.live(
    "says once that a name does not resolve, with the route and why, whoever asks how often",
    () =>
      Effect.gen(function*() {
        const program = yield* gateway(`
port: 0
routes:
  - { name: nameless, match: { path: /a }, upstream: "http://nowhere.invalid" }
  - { name: also, match: { path: /b }, upstream: "http://nowhere.invalid" }
`)
        for (let i = 0; i < 20; i++) {
          assert.strictEqual((yield* ask(`${program.origin}/${i % 2 ? "b" : "a"}`)).status, 502)
        }
        const lines = () => program.output().split("\n").filter((line) => line.includes("nowhere.invalid"))
        yield* eventually("a line", () => lines().length > 0, program.output)
        assert.strictEqual(lines().length, 1, program.output())
        assert.match(
          lines()[0]!,
          /WARN http:\/\/nowhere\.invalid failed at the connect: getaddrinfo (?:ENOTFOUND|EAI_AGAIN) nowhere\.invalid \(route nameless\)/
        )
      }),
    60_000
  )

  it.live("says once that connections are refused, and once that they are not any more", () =>
    Effect.gen(function*() {
      const { close, open, url } = yield* closing
      const program = yield* gateway(`port: 0\nroutes: [{ name: a, upstream: "${url}" }]\n`)
      assert.strictEqual((yield* ask(program.origin)).status, 200)
      yield* close
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* ask(program.origin)).status, 502)
      yield* open
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* ask(program.origin)).status, 200)
      const lines = () => program.output().split("\n").filter((line) => line.includes(` ${url} `))
      yield* eventually("two lines", () => lines().length === 2, program.output)
      assert.match(lines()[0]!, /WARN .* failed at the connect: .*ECONNREFUSED.* \(route a\)/)
      assert.match(lines()[1]!, /INFO .* is reached again$/)
    }), 60_000)
})
