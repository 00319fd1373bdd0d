import type * as Group from "@blackgate/core/Group"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Forwarded from "../Forwarded.ts"
import { Transport } from "../Transport.ts"
import { Report } from "../UpstreamError.ts"
import * as Destinations from "./destinations.ts"
import { Forwarding } from "./Forwarding.ts"
import { serve } from "./proxy.ts"
import type { Settings } from "./Route.ts"

const groupOf = <Self>(ref: Group.Ref<Self>): Effect.Effect<Group.Group, never, Self> =>
  Context.isKey(ref) ? Effect.service(ref) : Effect.succeed(ref)

/** What answers a request, and has found here all that is not the request's. `any` is for what the user's own effects need, and fail with. */
export const settled = <Groups>(
  settings: Settings
): Effect.Effect<Effect.Effect<HttpServerResponse, any, any>, never, Groups | Transport> =>
  Effect.gen(function*() {
    const transport = yield* Transport
    const forwarding = Forwarding.of(yield* Forwarded.Defaults, settings.options.forwarded)
    const report = yield* Report
    const group = yield* groupOf<Groups>(settings.group)
    const tunnels = { ...settings.tunnels, group: yield* groupOf<Groups>(settings.tunnels.group) }
    return Destinations.noted(
      serve({ ...settings, group, tunnels, transport, forwarding, report }),
      { key: settings.key, group, upstream: settings.upstream }
    )
  })
