import type { Group } from "@blackgate/core"
import type { Proxy, Rewrite } from "@blackgate/http"
import type { Undici } from "@blackgate/node"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Path } from "./ConfigText.ts"
import type { Matching } from "./RouteIndex.ts"
import type { StaleOptions } from "./StaleAnswers.ts"

/** What a rate limit limits apart. */
export interface RateKey {
  /** In words. */
  readonly of: string
  readonly key: (request: Rewrite.ProxyRequest) => string
}

/** Whose pool admits a route's requests. */
export interface GroupPlan {
  readonly name: string
  readonly options: Group.Options
  /** If its rate limit has several. */
  readonly rateKey?: RateKey | undefined
  /** Where it stands in the file. */
  readonly path: Path
}

/** What is answered when there is no answer: the first of these that there is for the request. */
export interface FallbackPlan {
  readonly stale: { readonly key: string; readonly options: StaleOptions } | undefined
  readonly other: {
    /** Where it goes, in words. */
    readonly goes: string
    readonly group: GroupPlan
    readonly transport: Undici.Options
    readonly options: Omit<Proxy.Options, "group" | "fallback">
  } | undefined
  readonly answer: HttpServerResponse | undefined
  /** All of them, in words. */
  readonly words: string
}

/** Where the requests of a route go. */
export type Target =
  | {
    readonly _tag: "proxy"
    readonly group: GroupPlan
    readonly transport: Undici.Options
    readonly options: Omit<Proxy.Options, "group" | "fallback">
    /** What becomes of a path. */
    readonly rewrite: (path: string) => string
    /** Those that want a tunnel, if that is another group. */
    readonly tunnels?: GroupPlan | undefined
    /** Which circuit of the group it passes, if that is not its own. */
    readonly circuit?: string | undefined
    readonly fallback?: FallbackPlan | undefined
  }
  | {
    readonly _tag: "redirect"
    readonly answer: (request: HttpServerRequest, path: string, query: string) => HttpServerResponse
  }

/** What the router of a config module knows more of. */
export interface Coded {
  readonly _tag: "code"
  /** The name of its group, and the URL it goes to, where it is a proxy. */
  readonly proxy: { readonly group: string; readonly upstream: string } | undefined
}

/** A route, as it is told of. */
export interface Listed {
  readonly name: string
  readonly path: Path
  /** What it matches, in words. */
  readonly matches: string
  /** Where its requests go, in words. */
  readonly goes: string
  readonly target: Target | Coded
}

/** A route of the config, ready to be built. */
export interface RoutePlan extends Listed {
  readonly matching: Matching
  readonly target: Target
}

/** For a route that names no group: nothing is limited, and nothing is shared. */
export const unlimited = (name: string, path: Path): GroupPlan => ({
  name,
  options: { pool: { maxConcurrent: Infinity } },
  path
})
