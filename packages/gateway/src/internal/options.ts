import type { Group } from "@blackgate/core"
import type { Forwarded } from "@blackgate/http"
import type { Server } from "@blackgate/node"
import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import type { ConnectPlan } from "./connects.ts"
import { millis } from "./fields.ts"
import { isLoopback } from "./loopback.ts"
import type { Problems } from "./Problems.ts"
import { type GroupPlan, type RateKey, unlimited } from "./RoutePlan.ts"

/** Without the keys that have no value. */
const given = <T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }

/** In milliseconds, if it is given. */
export const time = (duration: string | undefined): number | undefined =>
  duration === undefined ? undefined : millis(duration)

export const list = <A>(value: A | ReadonlyArray<A> | undefined): ReadonlyArray<A> =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as A]

type GroupConfig = NonNullable<Config["groups"]>[string]

export const groupOptions = ({ adaptive_limit, circuit, pool, rate_limit, retry_budget }: GroupConfig): Group.Options =>
  given({
    pool: given({
      maxConcurrent: pool.max_concurrent,
      maxQueued: pool.max_queued,
      queueTimeout: time(pool.queue_timeout)
    }),
    adaptiveLimit: adaptive_limit && adaptiveLimit(adaptive_limit),
    circuit: circuit && given({
      consecutive: circuit.consecutive,
      failureRate: circuit.failure_rate,
      slowCallRate: circuit.slow_call_rate,
      slowerThan: time(circuit.slower_than),
      window: circuit.window === undefined || "calls" in circuit.window
        ? circuit.window
        : { time: millis(circuit.window.time) },
      minimumCalls: circuit.minimum_calls,
      openFor: time(circuit.open_for),
      probes: circuit.probes,
      probeLease: time(circuit.probe_lease)
    }),
    rateLimit: rate_limit && given({
      limit: rate_limit.limit,
      window: millis(rate_limit.window),
      algorithm: rate_limit.algorithm,
      maxKeys: rate_limit.max_keys
    }),
    retryBudget: retry_budget && given({
      ratio: retry_budget.ratio,
      perSecond: retry_budget.per_second,
      window: time(retry_budget.window)
    })
  })

/** What the rate limit of a group limits apart, if it does. */
export const rateKeyOf = ({ rate_limit }: GroupConfig): RateKey | undefined => {
  const key = rate_limit?.key
  if (key === undefined) return undefined
  if (key === "client_address") return { of: "client address", key: (request) => request.clientAddress ?? "" }
  const header = key.header.toLowerCase()
  // As it came: what becomes of it afterwards is the upstream's business.
  return { of: header, key: ({ source }) => source.headers[header] ?? "" }
}

// Which options go with which algorithm is the core's to check.
const adaptiveLimit = (
  limit: NonNullable<GroupConfig["adaptive_limit"]>
): NonNullable<Group.Options["adaptiveLimit"]> =>
  given({
    algorithm: limit.algorithm,
    min: limit.min,
    initial: limit.initial,
    window: time(limit.window),
    minimumCalls: limit.minimum_calls,
    quantile: limit.quantile,
    tolerance: limit.tolerance,
    smoothing: limit.smoothing,
    baseline: limit.baseline && given({
      every: time(limit.baseline.every),
      calls: limit.baseline.calls,
      jitter: limit.baseline.jitter
    }),
    target: time(limit.target),
    increase: limit.increase,
    backoff: limit.backoff
  }) as NonNullable<Group.Options["adaptiveLimit"]>

export const forwardedOptions = (forwarded: Config["forwarded"]): Forwarded.Options =>
  forwarded === undefined ? {} : given({
    trust: forwarded.trust,
    read: forwarded.read,
    send: forwarded.send,
    via: forwarded.via,
    instance: forwarded.instance,
    maxPasses: forwarded.max_passes
  }) as Forwarded.Options

/** A listener, and what tells it from others. */
export interface ListenerPlan {
  readonly role: "gateway" | "admin"
  readonly key: string
  readonly path: ReadonlyArray<string | number>
  /** Where its port stands in the file, if it does. */
  readonly portPath?: Path | undefined
  readonly options: Server.Options
  readonly connect?: ConnectPlan | undefined
}

const defaultPort = 9654

export const listenerPlans = (
  config: Config,
  groups: ReadonlyMap<string, GroupPlan>,
  problems: Problems
): ReadonlyArray<ListenerPlan> => {
  const { drain = {}, limits = {}, listen, port } = config
  const shared = given({
    maxHeaderBytes: limits.max_header_bytes,
    maxHeaders: limits.max_headers,
    maxUri: limits.max_uri,
    maxBodySize: limits.max_body_size,
    maxConnections: limits.max_connections,
    maxRequestsPerConnection: limits.max_requests_per_connection,
    maxConcurrentStreams: limits.max_concurrent_streams,
    headTimeout: time(limits.head_timeout),
    bodyTimeout: time(limits.body_timeout),
    stallTimeout: time(limits.stall_timeout),
    keepAlive: time(limits.keep_alive),
    drainDelay: time(drain.delay),
    drainTimeout: time(drain.timeout)
  })
  if (listen === undefined) {
    return [{
      role: "gateway",
      key: `:${port ?? defaultPort}`,
      path: ["port"],
      options: { ...shared, port: port ?? defaultPort }
    }]
  }
  if (port !== undefined) problems.add(["port"], "port is what listen is in short: expected one of them, found both")
  return list(listen).map((each, i): ListenerPlan => {
    const path = Array.isArray(listen) ? ["listen", i] : ["listen"]
    const options = given({
      ...shared,
      port: each.port ?? defaultPort,
      host: each.host,
      http2: each.http2,
      tls: each.tls && tls(each.tls, [...path, "tls"], problems)
    })
    const connect = each.connect && connectPlan(each.connect, [...path, "connect"], groups, problems)
    const portPath = each.port === undefined ? undefined : [...path, "port"]
    return { role: "gateway", key: `${each.host ?? ""}:${options.port}`, path, portPath, options, connect }
  })
}

const connectPlan = (
  config: NonNullable<ListenConfig["connect"]>,
  path: Path,
  groups: ReadonlyMap<string, GroupPlan>,
  problems: Problems
): ConnectPlan | undefined => {
  const group = config.group === undefined
    ? unlimited("CONNECT", path)
    : problems.named([...path, "group"], config.group, "groups", groups)
  return group && {
    group,
    options: {
      allow: config.allow,
      ranges: config.ranges,
      timeout: time(config.timeout),
      idle: time(config.idle),
      total: time(config.total)
    }
  }
}

/** Where operators are listened to, if they are. */
export const adminPlans = ({ admin }: Config, problems: Problems): ReadonlyArray<ListenerPlan> => {
  if (admin === undefined) return []
  const { host = "127.0.0.1", port = 9655, token } = admin
  if (!isLoopback(host) && (token === undefined || token === "")) {
    problems.add(["admin", "host"], "expected a token for an address that others can reach: admin.token")
  }
  // A connection of an operator's holds nothing up.
  const options = { host, port, drainTimeout: 1000 }
  const portPath = admin.port === undefined ? undefined : ["admin", "port"]
  return [{ role: "admin", key: `admin ${host}:${port}`, path: ["admin"], portPath, options }]
}

type ListenConfig = Exclude<NonNullable<Config["listen"]>, ReadonlyArray<unknown>>
type TlsConfig = NonNullable<ListenConfig["tls"]>

const tls = (
  config: TlsConfig,
  path: ReadonlyArray<string | number>,
  problems: Problems
): Server.Tls => {
  const certificates = config.certificates.map(({ cert, key, passphrase }, i) => {
    const at = [...path, "certificates", i]
    const before = problems.all.length
    const certificate = given({
      cert: problems.readFile([...at, "cert"], cert),
      key: problems.readFile([...at, "key"], key),
      passphrase
    })
    if (problems.all.length === before) problems.tls(at, certificate)
    return certificate
  })
  const ca = list(config.client?.ca).map((file, i) =>
    problems.readFile([...path, "client", "ca", ...(Array.isArray(config.client?.ca) ? [i] : [])], file)
  )
  return given({
    certificates: certificates as unknown as Server.Tls["certificates"],
    minVersion: config.min_version,
    ciphers: config.ciphers,
    client: config.client && given({ ca, mode: config.client.mode })
  })
}
