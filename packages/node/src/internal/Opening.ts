import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Response } from "@blackgate/http/Transport"
import { protocols, type Request, type Switched } from "@blackgate/http/Upgrade"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as Http from "node:http"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import { bodyOf } from "./bodyOf.ts"
import { unwatch, watch, type Watcher } from "./Connections.ts"
import { type Ending, Joint, reset } from "./Joint.ts"
import { Offer } from "./Offer.ts"
import { RequestBody } from "./RequestBody.ts"
import { ResponseBody } from "./ResponseBody.ts"
import { ConnectTimeout, type TunnelDialer } from "./TunnelDialer.ts"
import type { Cuttable, Tunnels } from "./Tunnels.ts"

const interrupted = Exit.interrupt()

// Node would take the others for requests with a body of unknown length.
const bodiless = /^(?:GET|HEAD|DELETE|OPTIONS|TRACE|CONNECT)$/

class Silent extends Error {
  override readonly name = "Silent"
}

/**
 * A request for another protocol, on a connection of its own to the upstream: what comes back is an agreement, and a tunnel, or an
 * ordinary answer.
 *
 * It is sent by `node:http`, because undici keeps neither the reason phrase of a 101 nor a connection that is half closed.
 */
export class Opening implements Watcher, Cuttable {
  private readonly request: Request
  private readonly call: Completion<Response, UpstreamError>
  private readonly tunnels: Tunnels
  private readonly client: Http.IncomingMessage
  private socket: Net.Socket | undefined = undefined
  private connected = false
  /** Its body, for as long as that is being sent. */
  private sending: Readable | undefined = undefined
  private over = false
  private response: Response | undefined = undefined
  private body: ResponseBody | undefined = undefined
  private joint: Joint | undefined = undefined

  constructor(request: Request, call: Completion<Response, UpstreamError>, tunnels: Tunnels) {
    this.request = request
    this.call = call
    this.tunnels = tunnels
    this.client = request.source.source as Http.IncomingMessage
    watch(this.client.socket, this)
  }

  start(dialer: TunnelDialer): void {
    if (this.client.socket.destroyed) return this.end(interrupted)
    this.tunnels.add(this)
    const { headTimeout, idle, method, target, upstream } = this.request
    let socket: Net.Socket
    try {
      socket = this.socket = dialer.dial(upstream)
    } catch (cause) {
      return this.fail(new Error("its options for TLS can't be used", { cause }))
    }
    socket.once("encrypted" in socket ? "secureConnect" : "connect", () => {
      this.connected = true
      if (this.sending !== undefined) this.watchFor(idle)
    })
    socket.on("error", () => {}) // the request says so, or the tunnel
    socket.on("timeout", this.silent)
    const outgoing = Http.request({ method, path: target, headers: this.headers(), createConnection: () => socket })
    outgoing.on("upgrade", (response, _, head) => this.onUpgrade(response, head))
    outgoing.on("response", (response) => this.onResponse(response))
    outgoing.on("error", (cause) => this.fail(cause))
    outgoing.once("finish", () => {
      this.sending = undefined
      if (this.response === undefined) this.watchFor(headTimeout)
    })
    const body = bodyOf(this.request, this.client)
    if (body instanceof Readable) {
      this.sending = body
      body.on("error", () => body instanceof RequestBody ? this.giveUp() : outgoing.destroy())
      body.pipe(outgoing)
    } else outgoing.end(body ?? undefined)
  }

  /** Gives up whatever there is of it. */
  stop(): void {
    if (this.over) return
    this.leave()
    this.breakOff()
  }

  private breakOff(): void {
    const { body, client, joint, socket } = this
    if (joint === undefined) socket?.destroy()
    else if (client.socket.errored) {
      // Effect hears of a reset, and stops this, before the tunnel does.
      reset({ stream: socket!, socket: socket! })
    } else joint.cut()
    body?.destroy(new Error("the exchange was given up"))
  }

  /** The layer closes. */
  cut(): void {
    this.giveUp()
  }

  clientGone(): void {
    if (this.joint === undefined) this.giveUp()
  }

  /** The reader of the body is gone, or the client is. */
  giveUp(): void {
    if (this.over) return
    this.stop()
    this.call.end(interrupted)
  }

  /** The reader of the body wants more. */
  resume(): void {
    this.incoming?.resume()
  }

  private incoming: Http.IncomingMessage | undefined = undefined

  private onUpgrade(response: Http.IncomingMessage, head: Buffer): void {
    const socket = this.socket!
    if (this.over) return void socket.destroy()
    this.watchFor(undefined)
    socket.off("timeout", this.silent)
    const chosen = protocols(response.headers.upgrade)
    if (chosen === undefined || !isAmong(chosen, this.request.protocol)) {
      return this.fail(new Error(`it switched to ${response.headers.upgrade ?? "nothing"}, which nobody asked for`))
    }
    if (head.length > 0) socket.unshift(head)
    const switched: Switched = {
      status: 101,
      statusText: response.statusMessage,
      headers: response.rawHeaders,
      body: HttpBody.empty,
      join: (head, closed) => this.join(chosen, head, closed)
    }
    this.response = switched
    this.call.answer(switched)
  }

  private join(protocol: string, { headers, statusText }: Parameters<Switched["join"]>[0], closed: () => void): void {
    const offer = Offer.of(this.request.source)
    if (offer === undefined || this.over) return closed()
    const socket = this.socket!
    const client = offer.take()
    const { idle } = this.request
    const fields = [...headers, "Connection", "Upgrade", "Upgrade", protocol]
    let head = `HTTP/1.1 101 ${statusText ?? "Switching Protocols"}\r\n`
    for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
    client.stream.write(`${head}\r\n`, "latin1")
    const joint = this.joint = new Joint(
      client,
      { stream: socket, socket },
      idle === undefined ? 0 : Math.ceil(Duration.toMillis(idle)),
      (ending) => {
        offer.close()
        this.ended(ending)
        closed()
      }
    )
    joint.start()
  }

  private ended(ending: Ending): void {
    switch (ending) {
      case "in order":
        return this.end(Exit.succeed(this.response!))
      case "upstream":
        return this.fail(this.socket?.errored ?? new Error("it broke off"))
      default:
        return this.end(interrupted)
    }
  }

  private onResponse(incoming: Http.IncomingMessage): void {
    if (this.over) return void incoming.destroy()
    const { idle, method, source } = this.request
    const { headers, rawHeaders, statusCode: status = 0, statusMessage: statusText } = incoming
    this.response = { status, statusText, headers: rawHeaders, body: HttpBody.empty }
    this.incoming = incoming
    this.watchFor(idle)
    incoming.on("error", (cause) => this.fail(cause))
    if (method === "HEAD" || status === 204 || status === 304 || headers["content-length"] === "0") {
      incoming.resume().once("end", () => this.end(Exit.succeed(this.response!)))
      return
    }
    const body = this.body = new ResponseBody(
      this,
      NodeHttpServerRequest.toServerResponse(source) as Http.ServerResponse
    )
    incoming.on("data", (chunk: Buffer) => {
      if (!body.push(chunk)) incoming.pause()
    })
    incoming.once("end", () => {
      this.end(Exit.succeed(this.response!))
      body.push(null)
    })
    this.call.answer({ ...this.response, body: HttpBody.raw(body) })
  }

  private watchFor(time: Duration.Duration | undefined): void {
    this.socket!.setTimeout(time === undefined ? 0 : Math.min(Math.ceil(Duration.toMillis(time)), 2 ** 31 - 1))
  }

  private readonly silent = (): void => {
    const isClients = this.response === undefined && this.sending instanceof RequestBody && this.sending.isStarved
    this.fail(new Silent("it was silent for too long"), isClients ? "client" : "upstream")
  }

  private fail(cause: unknown, side: UpstreamError["side"] = "upstream"): void {
    if (this.over) return
    // A client that breaks off its request makes this fail. That is no failure of the upstream.
    if (this.joint === undefined && this.client.socket.destroyed) return this.giveUp()
    const phase = this.response !== undefined
      ? "body"
      : !this.connected
      ? "connect"
      : this.sending === undefined
      ? "head"
      : "send"
    const timedOut = cause instanceof ConnectTimeout || cause instanceof Silent
    this.end(Exit.fail(new UpstreamError({ phase, side, timedOut, origin: this.request.upstream.origin, cause })))
    this.body?.destroy(cause instanceof Error ? cause : new Error(String(cause)))
  }

  private end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.over) return
    this.leave()
    // A connection is for one request.
    this.socket?.destroy()
    this.call.end(exit)
  }

  private leave(): void {
    this.over = true
    unwatch(this.client.socket, this)
    this.tunnels.delete(this)
  }

  private headers(): Array<string> {
    const { body, headers, method, protocol, upstream } = this.request
    const given = HeaderList.remove(headers, "te")
    const own = ["Connection", "Upgrade", "Upgrade", protocol]
    if (HeaderList.get(given, "content-length") === undefined) {
      if (body._tag !== "Empty") own.push("Transfer-Encoding", "chunked")
      else if (!bodiless.test(method)) own.push("Content-Length", "0")
    }
    const host = HeaderList.get(given, "host") === undefined ? ["Host", upstream.authority] : []
    return [...host, ...given, ...own]
  }
}

// Names of protocols have no case (RFC 9110, section 7.8).
const isAmong = (chosen: string, offered: string): boolean => {
  const names = offered.toLowerCase().split(", ")
  return chosen.toLowerCase().split(", ").every((name) => names.includes(name))
}
