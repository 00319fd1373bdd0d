import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { nodeOf } from "./hop.ts"

// Peers come again and again, and there may be any number of them.
const remembered = 1024

/** What a list of networks may hold for peers that have no address, as in nginx. */
export const unix = "unix:"

/** A network, from what an option may say; `undefined` for what is none. A bare address is a network of its own. */
export const networkOf = (input: unknown): IpNetwork.IpNetwork | undefined => {
  const text = typeof input === "string" && !input.includes("/")
    ? Result.getOrUndefined(NetAddress.ipFromString(input))
    : undefined
  if (text !== undefined) return canonical(IpNetwork.makeUnsafe(text, NetAddress.width(text)))
  if (typeof input !== "string" && !Predicate.isObject(input)) return undefined
  return Option.getOrUndefined(
    Option.map(Result.getSuccess(IpNetwork.fromInput(input as IpNetwork.IpNetworkInput)), canonical)
  )
}

// Addresses are compared as IPv4 where they are that inside of IPv6, so networks have to be too.
const canonical = (network: IpNetwork.IpNetwork): IpNetwork.IpNetwork => {
  const address = NetAddress.toCanonical(network.address)
  return address === network.address || network.prefixLength < 96
    ? network
    : IpNetwork.makeUnsafe(address, network.prefixLength - 96)
}

/** Whose word is taken for where a request comes from. */
export class Trust {
  private readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
  private readonly unaddressed: boolean
  private readonly peers = new Map<string, boolean>()

  constructor(list: ReadonlyArray<unknown>) {
    this.networks = list.filter((each) => each !== unix).map((each) => networkOf(each)!)
    this.unaddressed = list.includes(unix)
  }

  /** Whether a peer is trusted, which has no address if it is `undefined`. */
  ofPeer(peer: string | undefined): boolean {
    if (peer === undefined) return this.unaddressed
    if (this.networks.length === 0) return false
    let known = this.peers.get(peer)
    if (known === undefined) {
      const address = nodeOf(peer)?.address
      known = address !== undefined && this.of(address)
      if (this.peers.size >= remembered) this.peers.clear()
      this.peers.set(peer, known)
    }
    return known
  }

  of(address: NetAddress.IpAddress): boolean {
    return this.networks.some((network) => IpNetwork.contains(network, address))
  }
}
