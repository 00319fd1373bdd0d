import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import * as HeaderList from "../HeaderList.ts"
import type { Request, Response, Transport } from "../Transport.ts"
import type { UpstreamError } from "../UpstreamError.ts"

type Send = Transport["Service"]["send"]
type AnyFiber = Fiber.Fiber<unknown, unknown>
type Ending = Exit.Exit<Response, UpstreamError>

// As Effect's server decides it: the native tracer has nowhere to send spans to.
const isTraced = (fiber: AnyFiber, source: HttpServerRequest): boolean => {
  const { tracer, tracerEnabled } = fiber.cache
  return tracer !== undefined && tracer !== Tracer.nativeTracer && tracerEnabled &&
    !fiber.getRef(Tracer.DisablePropagation) && !fiber.getRef(HttpMiddleware.TracerDisabledWhen)(source)
}

/**
 * A transport that makes a span of each request that it sends, and tells the upstream of it (W3C Trace Context). Where nothing is
 * traced it is the transport itself, and what the client says of its trace passes as it came.
 */
export const traced = (
  transport: Transport["Service"],
  fiber: AnyFiber,
  source: HttpServerRequest
): Transport["Service"] => {
  if (!isTraced(fiber, source)) return transport
  const { span } = fiber.cache
  // Nobody keeps a span inside of one that is not sampled, but the upstream is to hear that it is not.
  return span?.sampled === false
    ? { send: (request, call) => transport.send(told(request, span), call) }
    : { send: (request, call) => send(transport, fiber, request, call) }
}

const told = (request: Request, { sampled, spanId, traceId }: Tracer.AnySpan): Request => {
  const id = traceId.padStart(32, "0")
  let headers = request.headers
  // The state belongs to the trace (W3C Trace Context, section 3.3): that of another one is not passed on.
  if (request.source.headers["traceparent"]?.slice(3, 35) !== id) headers = HeaderList.remove(headers, "tracestate")
  return {
    ...request,
    headers: HeaderList.set(headers, "traceparent", `00-${id}-${spanId}-${sampled ? "01" : "00"}`)
  }
}

const send = (transport: Transport["Service"], fiber: AnyFiber, request: Request, call: Parameters<Send>[1]) => {
  const attempt = new Attempt(fiber, request)
  const stop = transport.send(told(request, attempt.span), {
    answer: (response) => {
      attempt.answered(response)
      call.answer(response)
    },
    end: (exit) => {
      attempt.end(exit)
      call.end(exit)
    }
  })
  return () => {
    attempt.end(Exit.interrupt())
    stop()
  }
}

/** What a span ends with: its attempt has had an answer. */
class FailingStatus extends Data.TaggedError("FailingStatus")<{ readonly status: number }> {
  override get message(): string {
    return `the status was ${this.status}`
  }
}

class Attempt {
  private readonly fiber: AnyFiber
  readonly span: Tracer.Span
  private status: number | undefined = undefined
  private over = false

  constructor(fiber: AnyFiber, { method, source, upstream }: Request) {
    this.fiber = fiber
    const { hostname, port, protocol } = new URL(upstream.origin)
    // Inside of the server's span; where there is none, inside of what the client says.
    const parent = fiber.cache.span ?? Option.getOrUndefined(HttpTraceContext.w3c(source.headers))
    this.span = Effect.runSyncWith(fiber.context)(Effect.makeSpan(`http.client ${method}`, {
      kind: "client",
      ...(parent === undefined ? {} : { parent }),
      attributes: {
        "http.request.method": method,
        "server.address": hostname.replaceAll(/^\[|\]$/g, ""),
        "server.port": Number(port) || (protocol === "https:" ? 443 : 80)
      }
    }))
  }

  answered({ status }: Response): void {
    if (this.status !== undefined) return
    this.status = status
    this.span.attribute("http.response.status_code", status)
    // As OpenTelemetry has it for clients.
    if (status >= 400) this.span.attribute("error.type", String(status))
  }

  end(exit: Ending): void {
    if (this.over) return
    this.over = true
    if (exit._tag === "Success") this.answered(exit.value)
    const { fiber, status = 0 } = this
    const failed = exit._tag === "Success" && status >= 400
    this.span.end(
      fiber.getRef(References.TracerTimingEnabled) ? fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() : 0n,
      failed ? Exit.fail(new FailingStatus({ status })) : exit
    )
  }
}
