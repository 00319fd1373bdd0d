import { Server } from "@blackgate/node"
import type { NodeServices } from "@effect/platform-node/NodeServices"
import type { Layer } from "effect"
import type { Etag, HttpPlatform, HttpServer, HttpServerError, HttpServerRequest } from "effect/http"
import { describe, expect, test } from "tstyche"

describe("Server.layer", () => {
  test("provides what Effect's own server provides, and itself", () => {
    expect(Server.layer({})).type.toBe<
      Layer.Layer<
        | Server.Server
        | HttpServer.HttpServer
        | NodeServices
        | HttpPlatform.HttpPlatform
        | Etag.Generator,
        HttpServerError.ServeError
      >
    >()
  })

  test("tls has at least one certificate", () => {
    const certificate = { cert: "", key: "" }
    expect(Server.layer).type.toBeCallableWith({ tls: { certificates: [certificate] } })
    expect(Server.layer).type.not.toBeCallableWith({ tls: { certificates: [] } })
    expect(Server.layer).type.not.toBeCallableWith({ tls: { certificates: [certificate], minVersion: "TLSv1.1" } })
    expect(Server.layer).type.not.toBeCallableWith({ maxBodySize: "1 MiB" })
  })
})

test("a client's certificate is there, or is not", () => {
  expect(Server.clientCertificate).type.toBe<
    (request: HttpServerRequest.HttpServerRequest) => Server.ClientCertificate | undefined
  >()
})
