import { Upstream, type UpstreamTls } from "@blackgate/http"
import { expect, it } from "tstyche"

it("verification is turned off only in so many words", () => {
  expect(Upstream.make).type.toBeCallableWith("https://a.test", { tls: { verify: "off-insecure" } })
  expect(Upstream.make).type.not.toBeCallableWith("https://a.test", { tls: { verify: false } })
  expect(Upstream.make).type.not.toBeCallableWith("https://a.test", { tls: { verify: "off" } })
  expect(Upstream.make).type.not.toBeCallableWith("https://a.test", { tls: { rejectUnauthorized: false } })
})

it("a version of HTTP is one of three", () => {
  expect<Upstream.Version>().type.toBe<"1.1" | "2" | "auto">()
  expect(Upstream.make).type.not.toBeCallableWith("https://a.test", { http: 2 })
})

it("options are plain data", () => {
  expect<{ readonly ca: ReadonlyArray<string> }>().type.toBeAssignableTo<UpstreamTls.Options>()
  expect<{ readonly minVersion: "TLSv1.1" }>().type.not.toBeAssignableTo<UpstreamTls.Options>()
})
