// The least that a proxy in Node can be, with backpressure both ways: node:http, and undici's dispatch.
import { createServer, type Server, type ServerResponse } from "node:http"
import { type Dispatcher, Pool } from "undici"

class Relay implements Dispatcher.DispatchHandler {
  private readonly response: ServerResponse
  private controller: Dispatcher.DispatchController | undefined

  constructor(response: ServerResponse) {
    this.response = response
    response.on("drain", () => this.controller?.resume())
    response.on("close", () => {
      if (!response.writableFinished) this.controller?.abort(new Error("the client is gone"))
    })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const raw = (controller.rawHeaders as ReadonlyArray<Buffer>).map((field) => field.toString("latin1"))
    const headers: Array<string> = []
    for (let i = 0; i < raw.length; i += 2) {
      if (!/^(?:connection|keep-alive|transfer-encoding)$/i.test(raw[i]!)) headers.push(raw[i]!, raw[i + 1]!)
    }
    this.response.writeHead(status, headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.response.write(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    this.response.end()
  }

  onResponseError(): void {
    this.response.destroy()
  }
}

// Of a request: what is meant for this hop, and what undici writes.
const notSent = /^(?:connection|keep-alive|transfer-encoding|host|expect|upgrade)$/i

/** A proxy to an upstream, which listens nowhere yet. */
export const floor = (origin: string): Server => {
  const upstream = new Pool(origin, { pipelining: 1, allowH2: false })
  return createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const { headers, method, rawHeaders, url } = request
    const sent: Array<string> = []
    for (let i = 0; i < rawHeaders.length; i += 2) {
      if (!notSent.test(rawHeaders[i]!)) sent.push(rawHeaders[i]!, rawHeaders[i + 1]!)
    }
    const has = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined
    upstream.dispatch({
      method: method as Dispatcher.HttpMethod,
      path: url!,
      headers: sent,
      body: has ? request : null,
      headersTimeout: 300_000,
      bodyTimeout: 300_000
    }, new Relay(response))
  })
}
