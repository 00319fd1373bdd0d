import { UpstreamTls } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"

describe("options over others", () => {
  it("what is said goes before, option by option; what is undefined is not said", () => {
    const all = { ca: "all", minVersion: "TLSv1.3" } as const
    assert.deepStrictEqual(UpstreamTls.over(all, { ca: "one" }), { ca: "one", minVersion: "TLSv1.3" })
    assert.deepStrictEqual(UpstreamTls.over(all, { ca: undefined }), all)
    assert.deepStrictEqual(UpstreamTls.over(all, undefined), all)
  })

  it("verification that is off for all can be on for one", () => {
    assert.deepStrictEqual(UpstreamTls.over({ verify: "off-insecure" }, { verify: "on" }), { verify: "on" })
  })

  it("a key has its own passphrase, or none", () => {
    const all = { cert: "a", key: "a", passphrase: "a" }
    assert.deepStrictEqual(UpstreamTls.over(all, { cert: "b", key: "b" }), { cert: "b", key: "b" })
    assert.deepStrictEqual(UpstreamTls.over(all, { serverName: "b" }), { ...all, serverName: "b" })
  })
})
