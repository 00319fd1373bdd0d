import type { Command } from "@blackgate/core"
import type { Transport, UpstreamError } from "@blackgate/http"
import * as Effect from "effect/Effect"

type Service = Transport.Transport["Service"]
type Call = Command.Completion<Transport.Response, UpstreamError.UpstreamError>

/** One origin, as the log has it. */
interface Origin {
  isDown: boolean
  /** Whether the log has said so. */
  isTold: boolean
  toldAt: number
}

// At the least, between two lines about one thing: whoever can make an upstream fail can't fill a disk.
const pause = 60_000

// More than a config has. A filter in code may make origins of what requests say.
const most = 1000

/**
 * What the log says of upstreams that fail: that one can't be reached, once, and once that it is reached again; anything else that goes
 * wrong with one a line a minute, however many requests there were. While all can be reached a request costs the look at one number.
 */
export class Reachability {
  private readonly origins = new Map<string, Origin>()
  private readonly others = new Map<string, { at: number; more: number }>()
  private readonly log: (line: Effect.Effect<void>) => void
  private readonly now: () => number
  private down = 0

  /** `log` writes a line that no request waits for. */
  constructor(log: (line: Effect.Effect<void>) => void, now: () => number = () => performance.now()) {
    this.log = log
    this.now = now
  }

  /** What is told of a failure of a route's. */
  readonly report = (failure: UpstreamError.UpstreamError, route: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const said = `${failure.message} (route ${route})`
      return failure.phase === "connect" ? this.lost(failure.origin, said) : this.other(failure, said)
    })

  private lost(name: string, said: string): Effect.Effect<void> {
    const origin = this.origins.get(name) ?? this.add(name)
    if (!origin.isDown) {
      origin.isDown = true
      this.down++
    }
    if (origin.isTold || this.now() - origin.toldAt < pause) return Effect.void
    origin.isTold = true
    origin.toldAt = this.now()
    return Effect.logWarning(`${said}; no more of that until it is reached again`)
  }

  private add(name: string): Origin {
    const [oldest] = this.origins.keys()
    if (oldest !== undefined && this.origins.size >= most) {
      if (this.origins.get(oldest)!.isDown) this.down--
      this.origins.delete(oldest)
    }
    const origin: Origin = { isDown: false, isTold: false, toldAt: -Infinity }
    this.origins.set(name, origin)
    return origin
  }

  private found(name: string): void {
    const origin = this.origins.get(name)
    if (origin?.isDown !== true) return
    origin.isDown = false
    this.down--
    if (origin.isTold) this.log(Effect.logInfo(`${name} is reached again`))
    origin.isTold = false
  }

  private other({ origin, phase }: UpstreamError.UpstreamError, said: string): Effect.Effect<void> {
    const key = `${phase} ${origin}`
    const last = this.others.get(key)
    if (last !== undefined && this.now() - last.at < pause) {
      last.more++
      return Effect.void
    }
    if (this.others.size >= most) this.others.clear()
    this.others.set(key, { at: this.now(), more: 0 })
    const before = last === undefined || last.more === 0 ? "" : `, and ${last.more} times since that was said last`
    return Effect.logWarning(said + before)
  }

  /** A transport that notices who is reached again. */
  around(transport: Service): Service {
    const { upgrades } = transport
    const watched = (call: Call, { upstream: { origin } }: Transport.Request): Call =>
      this.down === 0 || this.origins.get(origin)?.isDown !== true ? call : {
        answer: (response) => {
          this.found(origin)
          call.answer(response)
        },
        end: (exit) => {
          if (exit._tag === "Success") this.found(origin)
          call.end(exit)
        }
      }
    return {
      send: (request, call) => transport.send(request, watched(call, request)),
      ...(upgrades === undefined ? {} : {
        upgrades: {
          stateOf: upgrades.stateOf,
          open: (request, call) => upgrades.open(request, watched(call, request))
        }
      })
    }
  }
}
