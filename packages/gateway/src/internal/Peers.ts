import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

/** Addresses and networks, as `fields.trusted` has let them through. */
export class Peers {
  private readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
  private readonly unaddressed: boolean

  constructor(list: ReadonlyArray<string>) {
    this.unaddressed = list.includes("unix:")
    this.networks = list.filter((each) => each !== "unix:").map((each) =>
      each.includes("/") ? IpNetwork.fromInputUnsafe(each) : alone(NetAddress.ipFromStringUnsafe(each))
    )
  }

  /** Whether it is one of them; it has no address if it is `undefined`. */
  has(peer: string | undefined): boolean {
    if (peer === undefined || peer === "") return this.unaddressed
    const read = NetAddress.ipFromString(peer.replace(/%.*$/, ""))
    if (Result.isFailure(read)) return false
    // A listener on all addresses sees those of IPv4 inside of IPv6.
    const forms = [read.success, NetAddress.toCanonical(read.success)]
    return this.networks.some((network) => forms.some((address) => IpNetwork.contains(network, address)))
  }
}

const alone = (address: NetAddress.IpAddress): IpNetwork.IpNetwork =>
  IpNetwork.makeUnsafe(NetAddress.toCanonical(address), NetAddress.width(NetAddress.toCanonical(address)))
