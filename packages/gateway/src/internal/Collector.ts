import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"

/** How many requests it may have under way. */
const most = 4
const timeout = 5_000
const pause = 60_000

/**
 * Whoever telemetry is sent to, and how that goes. As long as it goes badly nothing more is gathered, so that a collector that is down,
 * or slow, costs what would have gone there, and a line a minute at the most.
 */
export class Collector {
  private readonly origin: string
  private readonly now: () => number
  private underWay = 0
  private failures = 0
  private pausedUntil = -Infinity
  private toldAt = -Infinity
  private isDown = false

  constructor(origin: string, now: () => number = () => performance.now()) {
    this.origin = origin
    this.now = now
  }

  /** Whether what there is to tell is worth gathering. */
  get listens(): boolean {
    return this.underWay < most && this.now() >= this.pausedUntil
  }

  /** A client that minds it. */
  around(client: HttpClient.HttpClient): HttpClient.HttpClient {
    return HttpClient.make((request) =>
      Effect.suspend(() => {
        // Nobody is to send it again in a second.
        if (!this.listens) return Effect.fail(new HttpClientError.HttpClientError({ reason: paused(request) }))
        this.underWay++
        return client.execute(request).pipe(
          // Its answer is of no interest, and whoever sends one without an end is as good as silent.
          Effect.tap(({ arrayBuffer }) => Effect.ignore(arrayBuffer)),
          Effect.timeoutOrElse({
            duration: timeout,
            orElse: () => Effect.fail(failure(request, `no answer in ${timeout / 1000} s`))
          }),
          Effect.ensuring(Effect.sync(() => this.underWay--)),
          Effect.tap(({ status }) => status < 300 ? this.heard : this.failed(`the status was ${status}`)),
          Effect.tapError((error) => this.failed(whyNot(error)))
        )
      })
    )
  }

  private readonly heard = Effect.suspend(() => {
    this.failures = 0
    this.pausedUntil = -Infinity
    if (!this.isDown) return Effect.void
    this.isDown = false
    return this.isTimeToTell() ? Effect.logInfo(`telemetry goes to ${this.origin} again`) : Effect.void
  })

  private failed(why: string): Effect.Effect<void> {
    // A connection that was idle for too long breaks off once.
    if (++this.failures < 2) return Effect.void
    this.pausedUntil = this.now() + pause
    if (this.isDown) return Effect.void
    this.isDown = true
    return this.isTimeToTell()
      ? Effect.logWarning(`telemetry can't be sent to ${this.origin}, and is lost for now: ${why}`)
      : Effect.void
  }

  // One that comes and goes is told of once a minute.
  private isTimeToTell(): boolean {
    const now = this.now()
    if (now - this.toldAt < pause) return false
    this.toldAt = now
    return true
  }
}

// Of `fetch`, what there is to say is beneath.
const whyNot = ({ reason }: HttpClientError.HttpClientError): string => {
  if ("description" in reason && reason.description !== undefined) return reason.description
  let why: unknown = "cause" in reason ? reason.cause : undefined
  while (why instanceof Error && why.cause instanceof Error) why = why.cause
  return why instanceof Error ? why.message || String((why as NodeJS.ErrnoException).code) : reason._tag
}

const paused = (request: HttpClientError.HttpClientError["request"]) =>
  new HttpClientError.EncodeError({ request, description: "telemetry is paused" })

const failure = (request: HttpClientError.HttpClientError["request"], description: string) =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
