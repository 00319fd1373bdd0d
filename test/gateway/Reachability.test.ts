import { type Transport, Upstream, UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger } from "effect"
import { Reachability } from "../../packages/gateway/src/internal/Reachability.ts"

type Call = Parameters<Transport.Transport["Service"]["send"]>[1]

const failure = (origin: string, phase: "connect" | "head" = "connect") =>
  new UpstreamError.UpstreamError({ phase, origin, cause: new Error("no") })

/** With a clock of its own; `lines` is the log. */
const made = () => {
  const lines: Array<string> = []
  let time = 0
  const logged = Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]))
  const reachability = new Reachability((line) => Effect.runSync(logged(line)), () => time)
  let end: Parameters<Call["end"]>[0] = Exit.interrupt()
  const seen: Array<Call> = []
  const transport = reachability.around({
    send: (_, call) => {
      seen.push(call)
      call.end(end)
      return () => {}
    }
  })
  const call: Call = { answer: () => {}, end: () => {} }
  const send = (origin: string, exit: typeof end) => {
    end = exit
    const upstream = Effect.runSync(Upstream.make(origin))
    transport.send({ upstream } as Transport.Request, call)
  }
  return {
    lines,
    later: (ms: number) => (time += ms),
    fails: (origin: string, phase?: "head") => Effect.runSync(logged(reachability.report(failure(origin, phase), "r"))),
    answers: (origin: string) => send(origin, Exit.succeed({} as Transport.Response)),
    refuses: (origin: string) => send(origin, Exit.fail(failure(origin))),
    // The call of a request is handed on as it is.
    isPlain: () => seen.at(-1) === call
  }
}

const down = (origin: string) =>
  `${origin} failed at the connect: no (route r); no more of that until it is reached again`

describe("Reachability", () => {
  it("says once that an origin can't be reached, and once that it can", () => {
    const { answers, fails, lines } = made()
    fails("http://a")
    fails("http://a")
    fails("http://b")
    answers("http://a")
    answers("http://a")
    assert.deepStrictEqual(lines, [down("http://a"), down("http://b"), "http://a is reached again"])
  })

  it("does nothing to a request while all are reached, nor to one of another origin", () => {
    const { answers, fails, isPlain } = made()
    answers("http://a")
    assert.isTrue(isPlain())
    fails("http://a")
    answers("http://b")
    assert.isTrue(isPlain())
    answers("http://a")
    assert.isFalse(isPlain())
    answers("http://a")
    assert.isTrue(isPlain())
  })

  it("is not taken in by one more that fails", () => {
    const { fails, lines, refuses } = made()
    fails("http://a")
    refuses("http://a")
    assert.deepStrictEqual(lines, [down("http://a")])
  })

  it("says it a minute later at the earliest of one that comes and goes", () => {
    const { answers, fails, later, lines } = made()
    for (let i = 0; i < 100; i++) {
      fails("http://a")
      answers("http://a")
    }
    assert.deepStrictEqual(lines, [down("http://a"), "http://a is reached again"])
    later(60_000)
    fails("http://a")
    assert.strictEqual(lines.length, 3)
  })

  it("says of one that is still down what it could not say within the minute", () => {
    const { answers, fails, later, lines } = made()
    fails("http://a")
    answers("http://a")
    fails("http://a")
    assert.strictEqual(lines.length, 2)
    later(60_000)
    fails("http://a")
    assert.strictEqual(lines[2], down("http://a"))
  })

  it("says what else goes wrong once a minute, and how often it did", () => {
    const { fails, later, lines } = made()
    for (let i = 0; i < 10; i++) fails("http://a", "head")
    later(60_000)
    fails("http://a", "head")
    const said = "http://a failed at the head: no (route r)"
    assert.deepStrictEqual(lines, [said, `${said}, and 9 times since that was said last`])
  })

  it("remembers no more than a thousand origins", () => {
    const { answers, fails, isPlain, lines } = made()
    for (let i = 0; i < 1100; i++) fails(`http://a${i}`)
    // Those that are forgotten are not down any more.
    for (let i = 100; i < 1100; i++) answers(`http://a${i}`)
    answers("http://a0")
    assert.isTrue(isPlain())
    assert.strictEqual(lines.length, 2100)
  })
})
