// gRPC through the gateway, a unary call and a stream: `node examples/grpc.ts`. The peers are those of `@grpc/grpc-js`.
import { Group } from "@blackgate/core"
import { Proxy, Upstream } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer } from "@effect/platform-node"
import * as Grpc from "@grpc/grpc-js"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http2"

// A service whose messages are strings. Most have a `.proto` file, and `@grpc/proto-loader`; the gateway needs neither.
const text = {
  requestSerialize: Buffer.from,
  requestDeserialize: String,
  responseSerialize: Buffer.from,
  responseDeserialize: String
}
const service = {
  Hello: { path: "/test.Greeter/Hello", requestStream: false, responseStream: false, ...text },
  Count: { path: "/test.Greeter/Count", requestStream: false, responseStream: true, ...text }
}

const handlers = {
  Hello: ((call, callback) =>
    call.request === "nobody"
      ? callback({ code: Grpc.status.NOT_FOUND, details: "nobody is there" })
      : callback(null, `hello ${call.request}`)) satisfies Grpc.handleUnaryCall<string, string>,
  Count: ((call) => {
    for (let i = 1; i <= Number(call.request); i++) call.write(String(i))
    call.end()
  }) satisfies Grpc.handleServerStreamingCall<string, string>
}

const listen = Effect.callback<{ readonly server: Grpc.Server; readonly url: string }>((resume) => {
  const server = new Grpc.Server()
  server.addService(service, handlers)
  server.bindAsync(
    "127.0.0.1:0",
    Grpc.ServerCredentials.createInsecure(),
    (error, port) =>
      resume(error === null ? Effect.succeed({ server, url: `http://127.0.0.1:${port}` }) : Effect.die(error))
  )
})

class Greeter extends Group.Service<Greeter>()("greeter") {}

// A timeout ends at the head of the response, so it does not cut the stream.
const Routes = Layer.unwrap(Effect.gen(function*() {
  const { url } = yield* Effect.acquireRelease(listen, ({ server }) => Effect.sync(() => server.forceShutdown()))
  const upstream = yield* Upstream.make(url, { http: "2" })
  return Proxy.route("/test.Greeter/*", { group: Greeter, upstream, timeout: "1 second" })
}))

const Gateway = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide([Greeter.layer({ pool: { maxConcurrent: 100 } }), Undici.layer]),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const port = address._tag === "UnixPathAddress" ? 0 : address.port
  const client = new Grpc.Client(`127.0.0.1:${port}`, Grpc.credentials.createInsecure())
  const { Count, Hello } = service
  for (const name of ["world", "nobody"]) {
    const said = yield* Effect.callback<string>((resume) => {
      client.makeUnaryRequest(
        Hello.path,
        Buffer.from,
        String,
        name,
        (error, value) => resume(Effect.succeed(error === null ? String(value) : error.message))
      )
    })
    yield* Console.log(said)
  }
  const numbers = yield* Effect.promise(() =>
    client.makeServerStreamRequest(Count.path, Buffer.from, String, "3").toArray()
  )
  yield* Console.log(numbers.join(", "))
  client.close()
})

await Effect.runPromise(Effect.provide(program, Gateway))
