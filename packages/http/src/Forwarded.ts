/**
 * What an upstream is told of where a request comes from: `X-Forwarded-*`, `Forwarded` (RFC 7239) and `Via`; and whom to believe
 * what came with it.
 *
 * Anybody can write these fields. So those of a request are replaced, unless the peer that sent it is a proxy of one's own, which is
 * to be said: nobody is trusted by default. `docs/forwarded.md` has the table. This does not touch other fields that name a client
 * (`X-Real-IP`, say), nor does it decide who may come in.
 *
 * @since 0.1.0
 */
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as IpNetwork from "effect/net/IpNetwork"
import * as Elements from "./internal/forwardedElements.ts"
import { optionsSchema } from "./internal/Forwarding.ts"

/**
 * Whom to believe, and what to send.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Whose fields are believed: networks (`"10.0.0.0/8"`), addresses, and `"unix:"` for peers without an address, such as those on a
   * Unix socket. Nobody by default, this machine included. An address of IPv4 inside of IPv6 is compared as IPv4.
   */
  readonly trust?: ReadonlyArray<IpNetwork.IpNetworkInput> | undefined
  /**
   * Which fields the trusted proxies write: `"x-forwarded"`, the default, or `"forwarded"`. The others are never believed: a proxy
   * that does not know them passes on what the client made up.
   */
  readonly read?: "x-forwarded" | "forwarded" | undefined
  /** Which fields are sent: `"x-forwarded"`, the default, `"forwarded"`, `"both"` or `"none"`. */
  readonly send?: "x-forwarded" | "forwarded" | "both" | "none" | undefined
  /**
   * What the gateway calls itself in `Via`: a token, `"blackgate"` by default. To an upstream the `instance` is added to it. `false`
   * for no `Via`, and no detection of loops.
   */
  readonly via?: string | false | undefined
  /** Tells this gateway from others of its name. By default random for each process, so that two in a row are no loop. */
  readonly instance?: string | undefined
  /** How often a request may pass this gateway: one that comes once more is answered with a 508. 1 by default. */
  readonly maxPasses?: number | undefined
}

/**
 * The options of the whole gateway. A route's `forwarded` goes before them, option by option.
 *
 * @category services
 * @since 0.1.0
 */
export const Defaults: Context.Reference<Options> = Context.Reference<Options>("@blackgate/http/Forwarded/Defaults", {
  defaultValue: () => ({})
})

/**
 * Provides the options of the whole gateway.
 *
 * **Details**
 *
 * Options that make no sense end the building of the layer with `InvalidOptions`, as a defect.
 *
 * **Gotchas**
 *
 * Trust a proxy only if it replaces or appends to all of the fields that it is believed. One that sets `X-Forwarded-For` and passes
 * on the client's `X-Forwarded-Host` makes that the client's to choose. And clients must not be in a trusted network themselves.
 *
 * **Example** (Behind a load balancer)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Forwarded, HeaderList, Proxy, Transport } from "@blackgate/http"
 * import { Effect, Layer, Option } from "effect"
 * import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * const upstream = Transport.layerMemory(({ headers }) =>
 *   Effect.succeed(HttpServerResponse.text(HeaderList.get(headers, "x-forwarded-for") ?? ""))
 * )
 *
 * const request = HttpServerRequest.fromWeb(
 *   new Request("http://gateway/", { headers: { "x-forwarded-for": "1.2.3.4, 198.51.100.7" } })
 * ).modify({ remoteAddress: Option.some("10.0.0.1") })
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("api", { pool: { maxConcurrent: 10 } })
 *   const answer = Proxy.handler({ group, upstream: "http://intra.service.com" })
 *   const response = yield* Effect.provideService(answer, HttpServerRequest.HttpServerRequest, request)
 *   return yield* Effect.promise(() => HttpServerResponse.toWeb(response).text())
 * })
 *
 * const said = (gateway: Layer.Layer<never>) =>
 *   Effect.runPromise(Effect.scoped(Effect.provide(program, Layer.merge(upstream, gateway))))
 *
 * await said(Layer.empty) // => "10.0.0.1"
 * await said(Forwarded.layer({ trust: ["10.0.0.0/8"] })) // => "1.2.3.4, 198.51.100.7, 10.0.0.1"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    Defaults,
    Effect.as(Effect.orDie(InvalidOptions.check("Forwarded.layer", optionsSchema, options)), options)
  )

/**
 * One hop of a `Forwarded` field: `for`, `by`, `host`, `proto` and whatever else there is, names in lower case.
 *
 * @category models
 * @since 0.1.0
 */
export type Element = Elements.Element

/**
 * Reads a `Forwarded` field: its elements, the client's first. `undefined` for what is malformed (RFC 7239, section 4).
 *
 * **Gotchas**
 *
 * It judges the syntax, not whether it is true: `request.clientAddress` of a rewrite is what trusted proxies say.
 *
 * **Example** (Two hops)
 *
 * ```ts import.meta.vitest
 * import { Forwarded } from "@blackgate/http"
 *
 * Forwarded.parse(`for=192.0.2.43, FOR="[2001:db8::17]";proto=https`)?.map((element) => element["for"])
 * // => ["192.0.2.43", "[2001:db8::17]"]
 * ```
 *
 * @category fields
 * @since 0.1.0
 */
export const parse = (value: string): ReadonlyArray<Element> | undefined => Elements.parse(value)

/**
 * Writes a `Forwarded` field. Values are quoted where they have to be; names must be tokens.
 *
 * **Example** (An address of IPv6)
 *
 * ```ts import.meta.vitest
 * import { Forwarded } from "@blackgate/http"
 *
 * Forwarded.format([{ for: "[2001:db8::17]", proto: "https" }]) // => "for=\"[2001:db8::17]\";proto=https"
 * ```
 *
 * @category fields
 * @since 0.1.0
 */
export const format = (elements: ReadonlyArray<Element>): string => Elements.format(elements)
