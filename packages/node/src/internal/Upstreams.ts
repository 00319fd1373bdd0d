import type { Completion } from "@blackgate/core/Command"
import type { Request, Response } from "@blackgate/http/Transport"
import type { Upstream } from "@blackgate/http/Upstream"
import type { UpstreamError } from "@blackgate/http/UpstreamError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Dialer, type DialOptions, keyOf } from "./Dialer.ts"
import { Http1Exchange } from "./Http1Exchange.ts"
import { Http2Exchange, type Instead } from "./Http2Exchange.ts"
import { Http2Origin } from "./Http2Origin.ts"
import type { SessionOptions } from "./Http2Session.ts"
import { Origins } from "./Origins.ts"

export interface UpstreamsOptions extends DialOptions {
  /** How long an idle connection of HTTP/1.1 is kept, where the upstream gives no hint. In milliseconds. */
  readonly keepAlive: number
  readonly http2: Omit<SessionOptions, "connectTimeout">
}

/** All connections of a transport, and which of them a request goes to. */
export class Upstreams {
  /** Tells the log what it has not been told yet. */
  readonly warn: (message: string) => void
  private readonly options: UpstreamsOptions
  private readonly over1: Origins
  private readonly over2 = new Map<string, Http2Origin>()
  private readonly emptied = new Set<() => void>()

  constructor(options: UpstreamsOptions) {
    const said = new Set<string>()
    const warn = (message: string) => {
      if (said.has(message)) return
      said.add(message)
      options.warn(message)
    }
    this.options = { ...options, warn }
    this.warn = warn
    this.over1 = new Origins(this.options)
  }

  send(request: Request, call: Completion<Response, UpstreamError>): () => void {
    const exchange = this.speaks1(request.upstream)
      ? this.exchange1(request, call)
      : new Http2Exchange(request, call, this.origin2(request.upstream), () => this.exchange1(request, call))
    exchange.start()
    return () => exchange.stop()
  }

  /** Lets what is under way end by itself, for a while. */
  close(drain: Duration.Input): Effect.Effect<void> {
    const over2 = Effect.callback<void>((resume) => {
      const done = () => {
        if (this.over2.size > 0) return
        this.emptied.delete(done)
        resume(Effect.void)
      }
      this.emptied.add(done)
      for (const origin of Array.from(this.over2.values())) origin.close()
      done()
    }).pipe(
      Effect.timeoutOption(drain),
      Effect.andThen(Effect.sync(() => {
        for (const origin of Array.from(this.over2.values())) origin.destroy()
      }))
    )
    return Effect.all([this.over1.close(drain), over2], { concurrency: "unbounded", discard: true })
  }

  // What an upstream prefers is known for as long as there are connections to it.
  private speaks1(upstream: Upstream): boolean {
    const { http, origin } = upstream
    return http === "1.1" || (http === "auto" && (origin.startsWith("http:") || this.over1.has(upstream)))
  }

  private exchange1(request: Request, call: Completion<Response, UpstreamError>): Instead {
    return new Http1Exchange(request, call, this.over1.of(request.upstream))
  }

  private origin2(upstream: Upstream): Http2Origin {
    const key = keyOf(upstream)
    let known = this.over2.get(key)
    if (known !== undefined) return known
    const { connectTimeout, http2 } = this.options
    const origin = known = new Http2Origin(upstream.origin, new Dialer(upstream, this.options, true), {
      ...http2,
      connectTimeout,
      connections: upstream.connections ?? Infinity,
      adopt: upstream.http === "auto" ? (socket) => this.over1.adopt(upstream, socket) : undefined,
      empty: () => {
        if (this.over2.get(key) !== origin) return
        this.over2.delete(key)
        for (const done of Array.from(this.emptied)) done()
      }
    })
    this.over2.set(key, known)
    return known
  }
}
