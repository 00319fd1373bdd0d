import type { Completion } from "@blackgate/core/Command"
import type { Request, Response } from "@blackgate/http/Transport"
import * as Transport from "@blackgate/http/Transport"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import type { Dispatcher } from "undici"
import { watch, type Watcher, watchStream } from "./Connections.ts"
import { ClientBroke } from "./IncomingBody.ts"
import type { Origin } from "./Origins.ts"
import { RequestBody } from "./RequestBody.ts"
import { endsWithConnection } from "./Resets.ts"
import { ResponseBody } from "./ResponseBody.ts"

const interrupted = Exit.interrupt()

/**
 * One request to an upstream and its response: the handler that undici calls back, and the source that the response body is read
 * from.
 *
 * At the response head a microtask is scheduled. If the response has ended by then, as a small one has that came in one read, it is
 * told whole; otherwise its head is told, with a body that streams. Nothing is delayed for it.
 */
export class Exchange implements Dispatcher.DispatchHandler, Watcher {
  private readonly request: Request
  private readonly call: Completion<Response, UpstreamError>
  private readonly origin: Origin
  private readonly client: Client | undefined
  private readonly socket: Net.Socket | undefined
  private readonly unwatch: (() => void) | undefined

  private controller: Dispatcher.DispatchController | undefined = undefined
  private begun = false
  private over = false
  private response: Response | undefined = undefined
  private chunks: Array<Buffer> = []
  private body: ResponseBody | undefined = undefined

  constructor(request: Request, call: Completion<Response, UpstreamError>, origin: Origin) {
    this.request = request
    this.call = call
    this.origin = origin
    const source = request.source.source
    this.client = isClient(source) ? source : undefined
    this.socket = source instanceof Http.IncomingMessage ? source.socket : undefined
    this.unwatch = this.socket !== undefined
      ? watch(this.socket, this)
      : source instanceof Http2.Http2ServerRequest
      ? watchStream(source.stream, this)
      : undefined
  }

  start(): void {
    if (this.isClientGone) return this.end(interrupted)
    this.begun = true
    this.origin.begin((dispatcher) => this.dispatch(dispatcher))
  }

  private get isClientGone(): boolean {
    const { client, socket } = this
    return socket !== undefined
      ? socket.destroyed
      : client instanceof Http2.Http2ServerRequest && client.stream.destroyed
  }

  private dispatch(dispatcher: Dispatcher): void {
    if (this.over) return
    const { headers, idle, method, target } = this.request
    // Equal ones, or undici arms its timers anew for each.
    const silence = idle === undefined ? 0 : Math.ceil(Duration.toMillis(idle))
    dispatcher.dispatch({
      method: method as Dispatcher.HttpMethod,
      path: target,
      headers: headers as Array<string>,
      body: this.requestBody(),
      headersTimeout: silence,
      bodyTimeout: silence
    }, this)
  }

  /** Gives the exchange up: before the head, or in the middle of the body, whose reader sees it break off. */
  stop(): void {
    if (this.over) return
    this.leave(false)
    const reason = new Error("the exchange was given up")
    this.controller?.abort(reason)
    this.body?.destroy(reason)
  }

  clientGone(): void {
    this.giveUp()
  }

  /** The reader of the body is gone, or the client is. */
  giveUp(): void {
    if (this.over) return
    this.stop()
    this.call.end(interrupted)
  }

  /** The reader of the body wants more. */
  resume(): void {
    this.controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // While the request waited inside of undici there was nothing to abort.
    if (this.over) return controller.abort(new Error("the exchange was given up"))
    this.controller = controller
    if (this.request.body._tag === "Incoming" && /^100-continue$/i.test(this.client?.headers.expect ?? "")) {
      serverResponse(this.request)?.writeContinue()
    }
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Http.IncomingHttpHeaders,
    statusText?: string
  ): void {
    if (status < 200 || this.over) return
    this.response = {
      status,
      statusText: bytesOf(statusText),
      headers: rawOf(controller, headers),
      body: HttpBody.empty
    }
    queueMicrotask(() => this.answer())
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.body === undefined) this.chunks.push(chunk)
    else if (!this.body.push(chunk)) controller.pause()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const { body, chunks, response } = this
    const reset = this.origin.resets.current
    if (reset !== undefined && endsWithConnection(response!.headers)) return this.onResponseError(controller, reset)
    if (body !== undefined) {
      this.end(Exit.succeed(response!))
      body.push(null)
    } else if (chunks.length === 0) this.end(Exit.succeed(response!))
    else {
      const whole = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      this.end(Exit.succeed({ ...response!, body: HttpBody.uint8Array(whole) }))
    }
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.over) return
    const { body } = this
    // A client that breaks off its request body makes undici fail. That is no failure of the upstream.
    if (error instanceof ClientBroke || this.isClientGone) return this.giveUp()
    const phase = body !== undefined ? "body" : this.controller === undefined ? "connect" : "head"
    this.end(Exit.fail(new UpstreamError({ phase, origin: this.request.upstream.origin, cause: error })))
    body?.destroy(error)
  }

  private answer(): void {
    if (this.over || this.response === undefined) return
    const body = this.body = new ResponseBody(this, serverResponse(this.request))
    for (const chunk of this.chunks) if (!body.push(chunk)) this.controller?.pause()
    this.chunks = []
    this.call.answer({ ...this.response, body: HttpBody.raw(body) })
  }

  private end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.over) return
    this.leave(exit._tag === "Success")
    this.call.end(exit)
  }

  private leave(inOrder: boolean): void {
    this.over = true
    this.unwatch?.()
    if (this.begun) this.origin.end(inOrder)
  }

  private requestBody(): Readable | Uint8Array | null {
    const { body } = this.request
    switch (body._tag) {
      case "Empty":
        return null
      case "Incoming":
        return this.client === undefined
          ? NodeStream.toReadableNever(Transport.incoming(this.request))
          : new RequestBody(this.client, body.limit)
      case "Uint8Array":
        return body.body
      case "Stream":
        return NodeStream.toReadableNever(body.stream)
      case "FormData":
        return Readable.fromWeb(new Response(body.formData).body as Parameters<typeof Readable.fromWeb>[0])
      case "Raw":
        return body.body as Readable | Uint8Array
    }
  }
}

const rawOf = (controller: Dispatcher.DispatchController, headers: Http.IncomingHttpHeaders): ReadonlyArray<string> => {
  const raw = controller.rawHeaders
  if (Array.isArray(raw)) return raw.map((part) => typeof part === "string" ? part : part.toString("latin1"))
  return Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]))
}

// undici reads it as UTF-8, and Node writes it as Latin-1.
const bytesOf = (statusText: string | undefined): string | undefined =>
  statusText === undefined || /^[\t -~]*$/.test(statusText) ? statusText : Buffer.from(statusText).toString("latin1")

type Client = Http.IncomingMessage | Http2.Http2ServerRequest

const isClient = (source: object): source is Client =>
  source instanceof Http.IncomingMessage || source instanceof Http2.Http2ServerRequest

const serverResponse = ({ source }: Request): Http.ServerResponse | Http2.Http2ServerResponse | undefined =>
  isClient(source.source) ? NodeHttpServerRequest.toServerResponse(source) : undefined
