import { UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"

describe("UpstreamError", () => {
  it("says who failed, at what, and why; the upstream, unless told otherwise", () => {
    const props = { phase: "send", origin: "http://a.test", cause: new Error("it was silent") } as const
    const ours = new UpstreamError.UpstreamError(props)
    assert.deepStrictEqual([ours.side, ours.timedOut], ["upstream", false])
    assert.strictEqual(ours.message, "http://a.test failed at the send: it was silent")
    const client = new UpstreamError.UpstreamError({ ...props, side: "client" })
    assert.strictEqual(client.message, "a client of http://a.test failed at the send: it was silent")
  })

  it("says of each address why, where Node has an error around them that says nothing", () => {
    const cause = new AggregateError([new Error("refused ::1"), new Error("refused 127.0.0.1")])
    const { message } = new UpstreamError.UpstreamError({ phase: "connect", origin: "http://a.test", cause })
    assert.strictEqual(message, "http://a.test failed at the connect: refused ::1, refused 127.0.0.1")
  })
})
