import { Upstream, type UpstreamTls } from "@blackgate/http"
import type { Undici } from "@blackgate/node"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import { list, time } from "./options.ts"
import type { Problems } from "./Problems.ts"

/** Where requests go, and the transport that carries them. */
export interface UpstreamPlan {
  readonly upstream: Upstream.Upstream
  readonly transport: Undici.Options
}

type UpstreamConfig = NonNullable<Config["upstreams"]>[string]

/** An upstream from its URL. */
export const upstreamAt = (
  path: Path,
  url: string,
  options: Upstream.Options,
  problems: Problems
): Upstream.Upstream | undefined => {
  const made = Effect.runSync(Effect.result(Upstream.make(url, options)))
  return Result.isSuccess(made) ? made.success : problems.add(path, made.failure.problem)
}

/** Those of a config: the ones that have a name, and one for each URL that stands for itself. */
export class Upstreams {
  private readonly named: ReadonlyMap<string, UpstreamPlan | undefined>
  private readonly byUrl = new Map<string, UpstreamPlan>()
  private readonly problems: Problems

  constructor(config: Config, problems: Problems) {
    this.problems = problems
    this.named = new Map(
      Object.entries(config.upstreams ?? {}).map(([name, each]) => [name, planOf(["upstreams", name], each, problems)])
    )
  }

  /** The one that a route goes to. What has a scheme is a URL, anything else a name. */
  of(path: Path, upstream: string): UpstreamPlan | undefined {
    if (!upstream.includes("://")) return this.problems.named(path, upstream, "upstreams", this.named)
    const known = this.byUrl.get(upstream)
    if (known !== undefined) return known
    const made = upstreamAt(path, upstream, {}, this.problems)
    if (made === undefined) return undefined
    const plan = { upstream: made, transport: {} }
    this.byUrl.set(upstream, plan)
    return plan
  }
}

const planOf = (path: Path, config: UpstreamConfig, problems: Problems): UpstreamPlan | undefined => {
  const upstream = upstreamAt([...path, "url"], config.url, {
    http: config.http === undefined ? undefined : String(config.http) as Upstream.Version,
    connections: config.connections,
    tls: config.tls && tlsOf([...path, "tls"], config.tls, problems)
  }, problems)
  return upstream && {
    upstream,
    transport: {
      connectTimeout: time(config.connect_timeout),
      keepAlive: time(config.keep_alive),
      http2: config.http2 && { keepAlive: time(config.http2.keep_alive), ping: time(config.http2.ping) }
    }
  }
}

const tlsOf = (
  path: Path,
  config: NonNullable<UpstreamConfig["tls"]>,
  problems: Problems
): UpstreamTls.Options => {
  const before = problems.all.length
  const read = (key: "cert" | "key") =>
    config[key] === undefined ? undefined : problems.readFile([...path, key], config[key])
  const ca = list(config.ca).map((file, i) =>
    problems.readFile([...path, "ca", ...(Array.isArray(config.ca) ? [i] : [])], file)
  )
  const options = {
    ca: ca.length === 0 ? undefined : ca,
    cert: read("cert"),
    key: read("key"),
    passphrase: config.passphrase,
    serverName: config.server_name,
    minVersion: config.min_version,
    ciphers: config.ciphers,
    verify: config.verify
  }
  if (problems.all.length === before) {
    const { ca, cert, ciphers, key, minVersion, passphrase } = options
    problems.tls(path, {
      ca,
      cert,
      ciphers,
      key,
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(minVersion === undefined ? {} : { minVersion })
    })
  }
  return options
}
