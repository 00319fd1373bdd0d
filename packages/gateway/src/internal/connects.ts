import { type Group, InvalidOptions } from "@blackgate/core"
import { Connect } from "@blackgate/node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EventEmitter } from "node:events"
import type * as Http from "node:http"
import type { Duplex } from "node:stream"
import type { GroupPlan } from "./RoutePlan.ts"

/** Where the clients of a listener may be connected to. */
export interface ConnectPlan {
  readonly group: GroupPlan
  readonly options: Omit<Connect.Options, "group">
}

/** What answers CONNECT until the scope is closed: it hears the event that a server emits. */
export const makeConnects = (
  { options }: ConnectPlan,
  group: Group.Group
): Effect.Effect<EventEmitter, InvalidOptions.InvalidOptions, Scope.Scope> =>
  Effect.suspend(() => {
    const emitter = new EventEmitter()
    // It listens for nothing but that.
    return Layer.build(Connect.layer(emitter as Http.Server, { ...options, group })).pipe(
      Effect.as(emitter),
      Effect.catchDefect((defect) =>
        defect instanceof InvalidOptions.InvalidOptions ? Effect.fail(defect) : Effect.die(defect)
      )
    )
  })

type Listener = (request: Http.IncomingMessage, stream: Duplex, head: Buffer) => void

const listeners = new WeakMap<EventEmitter, Listener>()

/** Has a server's requests answered by these from now on, or by nobody; `begin` is told of each, and says what is to be told of its end. */
export const takeConnects = (
  server: EventEmitter,
  connects: EventEmitter | undefined,
  begin: () => () => void
): void => {
  const before = listeners.get(server)
  if (before !== undefined) server.off("connect", before)
  listeners.delete(server)
  if (connects === undefined) return
  const listener: Listener = (request, stream, head) => {
    stream.once("close", begin())
    connects.emit("connect", request, stream, head)
  }
  listeners.set(server, listener)
  server.on("connect", listener)
}
