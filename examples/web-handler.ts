// The gateway as a Web handler, for Bun, Deno and workers: requests in, responses out. `node examples/web-handler.ts`
import { Group } from "@blackgate/core"
import { Proxy, Rewrite, Transport } from "@blackgate/http"
import { Layer } from "effect"
import { FetchHttpClient, HttpRouter } from "effect/http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

class Api extends Group.Service<Api>()("api.v1") {}

const gateway = (upstream: string) =>
  HttpRouter.toWebHandler(
    Proxy.route("/api/*", { group: Api, upstream, rewrite: Rewrite.stripPrefix("/api"), timeout: "5 seconds" }).pipe(
      Layer.provide(Api.layer({ pool: { maxConcurrent: 10 } })),
      // Over fetch, which is everywhere.
      Layer.provide(Transport.layerHttpClient.pipe(Layer.provide(FetchHttpClient.layer)))
    ),
    { disableLogger: true }
  )

// Something to go to.
const upstream = createServer((request, response) => response.end(`saw ${request.method} ${request.url}`))

upstream.listen(0, "127.0.0.1", async () => {
  const { dispose, handler } = gateway(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`)
  // What `export default { fetch: handler }` is on those platforms.
  const response = await handler(new Request("http://gateway/api/users/1?full=yes"))
  console.log(response.status, await response.text())
  await dispose()
  upstream.close()
  upstream.closeAllConnections()
})
