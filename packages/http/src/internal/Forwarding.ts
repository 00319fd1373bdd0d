import { whole } from "@blackgate/core/InvalidOptions"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Forwarded from "../Forwarded.ts"
import type * as HeaderList from "../HeaderList.ts"
import { token } from "./fields.ts"
import type { FieldsByName } from "./fieldsByName.ts"
import * as Elements from "./forwardedElements.ts"
import { fromForwarded, fromXForwarded, type History, toldBy } from "./history.ts"
import { bracket, isHost, peerOf, portOf } from "./hop.ts"
import { networkOf, Trust, unix } from "./Trust.ts"

const name = Schema.String.check(
  Schema.makeFilter((text: string) =>
    token.test(text)
      ? undefined
      : `expected a token (letters, digits, "-", "." and the like), got ${JSON.stringify(text)}`
  )
)
const isTrusted = (u: unknown): u is string => u === unix || networkOf(u) !== undefined

/** What is checked of the options. */
export const optionsSchema = Schema.Struct({
  trust: Schema.optional(Schema.Array(Schema.declare(isTrusted, {
    expected: `a network such as "10.0.0.0/8", without host bits, an address, or "${unix}"`
  }))),
  read: Schema.optional(Schema.Literals(["x-forwarded", "forwarded"])),
  send: Schema.optional(Schema.Literals(["x-forwarded", "forwarded", "both", "none"])),
  via: Schema.optional(Schema.Union([name, Schema.Literal(false)])),
  instance: Schema.optional(name),
  maxPasses: Schema.optional(whole(1))
})

let random: string | undefined

// As it is first needed: there are runtimes where a module may not roll dice while it loads.
const ofProcess = (): string =>
  random ??= Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join(
    ""
  )

/** The hop from the peer to this gateway. */
interface Own {
  readonly peer: string | undefined
  readonly host: string | undefined
  readonly proto: string
}

/** What a gateway, or a route, says of where its requests come from. */
export class Forwarding {
  readonly maxPasses: number
  /** What it calls itself to upstreams, if it does. */
  readonly passedBy: string | undefined
  private readonly respondedBy: string | undefined
  private readonly trust: Trust
  private readonly read: (raw: HeaderList.HeaderList) => History
  private readonly sendsX: boolean
  private readonly sendsForwarded: boolean

  private static readonly common = new WeakMap<Forwarded.Options, Forwarding>()

  /** One for all routes that say nothing of their own. */
  static of(defaults: Forwarded.Options, own?: Forwarded.Options): Forwarding {
    if (own !== undefined) return new Forwarding({ ...defaults, ...own })
    let forwarding = Forwarding.common.get(defaults)
    if (forwarding === undefined) Forwarding.common.set(defaults, forwarding = new Forwarding(defaults))
    return forwarding
  }

  private constructor(options: Forwarded.Options) {
    const { instance, maxPasses = 1, read = "x-forwarded", send = "x-forwarded", trust = [], via = "blackgate" } =
      options
    this.maxPasses = maxPasses
    this.passedBy = via === false ? undefined : `${via}-${instance ?? ofProcess()}`
    this.respondedBy = via === false ? undefined : via
    this.trust = new Trust(trust)
    this.read = read === "forwarded" ? fromForwarded : fromXForwarded
    this.sendsX = send === "x-forwarded" || send === "both"
    this.sendsForwarded = send === "forwarded" || send === "both"
  }

  /** How often a request has passed here, by the `Via` of it (RFC 9110, section 7.6.3). */
  passes(via: string | undefined): number {
    const self = this.passedBy
    if (via === undefined || self === undefined || !via.includes(self)) return 0
    return withoutComments(via).split(",").filter((entry) => entry.trim().split(/[ \t]+/)[1] === self).length
  }

  /** `Via`, added to what a request has of it. */
  addVia(fields: Array<string>, version: string): void {
    if (this.passedBy !== undefined) fields.push("via", `${version} ${this.passedBy}`)
  }

  /** The same of a response, without what tells this instance from another: that is no client's business. */
  addResponseVia(fields: Array<string>, version: string): void {
    if (this.respondedBy !== undefined) fields.push("via", `${version} ${this.respondedBy}`)
  }

  /** Adds the forwarding fields, which those received are no part of. Answers the client's address, if anybody knows it. */
  describe(
    fields: Array<string>,
    raw: HeaderList.HeaderList,
    source: HttpServerRequest.HttpServerRequest,
    { host }: FieldsByName,
    proto: string
  ): string | undefined {
    const peer = Option.getOrUndefined(source.peerAddress)
    const own: Own = {
      peer: peer === undefined ? undefined : peerOf(peer),
      host: host !== undefined && isHost(host) ? host : undefined,
      proto
    }
    if (this.trust.ofPeer(peer)) {
      const history = this.read(raw)
      this.write(fields, history, own)
      return this.clientOf(history, own)
    }
    // Effect's own middleware may have judged whom to believe, and says so here.
    const remote = Option.getOrUndefined(source.remoteAddress)
    if (remote === peer || remote === undefined) {
      this.writeOwn(fields, own)
      return own.peer
    }
    this.write(fields, toldBy(remote), own)
    return peerOf(remote)
  }

  private writeOwn(fields: Array<string>, own: Own): void {
    if (this.sendsX) {
      if (own.peer !== undefined) fields.push("x-forwarded-for", own.peer)
      if (own.host !== undefined) fields.push("x-forwarded-host", own.host)
      fields.push("x-forwarded-proto", own.proto)
    }
    if (this.sendsForwarded) fields.push("forwarded", Elements.format([elementOf(own)]))
  }

  private write(fields: Array<string>, history: History, own: Own): void {
    const { elements, nodes, port, prefix } = history
    // One without an address is on this machine: what it says of who asked it is the hop.
    const isHop = own.peer !== undefined || nodes.length === 0
    const joined = (list: ReadonlyArray<string>, last: string | undefined) =>
      (last === undefined || (!isHop && list.length > 0) ? list : [...list, last]).join(", ")
    const add = (field: string, value: string) => {
      if (value !== "") fields.push(field, value)
    }
    if (this.sendsX) {
      add("x-forwarded-for", joined(nodes.map(({ text }) => text), own.peer))
      add("x-forwarded-host", joined(history.host, own.host))
      add("x-forwarded-proto", joined(history.proto, own.proto))
      if (port.length > 0) add("x-forwarded-port", joined(port, portOf(own.host ?? "", own.proto)))
      add("x-forwarded-prefix", prefix.join(", "))
    }
    if (this.sendsForwarded) add("forwarded", Elements.format(isHop ? [...elements, elementOf(own)] : elements))
  }

  // From the near end, the first that is not trusted: what it says of others is worth nothing.
  private clientOf({ isWhole, nodes }: History, own: Own): string | undefined {
    let client: NetAddress.IpAddress | undefined
    for (const { address } of nodes.toReversed()) {
      if (address === undefined) return undefined
      client = address
      if (!this.trust.of(address)) return NetAddress.formatIp(address)
    }
    if (!isWhole) return undefined
    return client === undefined ? own.peer : NetAddress.formatIp(client)
  }
}

const elementOf = ({ host, peer, proto }: Own): Elements.Element => ({
  for: peer === undefined ? "unknown" : bracket(peer),
  ...(host === undefined ? {} : { host }),
  proto
})

// They may hold anything, commas and comments too (RFC 9110, section 5.6.5).
const withoutComments = (via: string): string => {
  let rest = ""
  let depth = 0
  for (let i = 0; i < via.length; i++) {
    const char = via[i]!
    if (depth > 0 && char === "\\") i++
    else if (char === "(") depth++
    else if (depth === 0) rest += char
    else if (char === ")") depth--
  }
  return rest
}
