import * as Net from "node:net"

/** A set of addresses, of ranges in CIDR notation; `undefined` if one of them is none. */
export const ranges = (texts: ReadonlyArray<string>): Net.BlockList | undefined => {
  const list = new Net.BlockList()
  for (const text of texts) {
    const [address = "", prefix = ""] = text.split("/", 2)
    const family = Net.isIP(address)
    const bits = Number(prefix)
    if (family === 0 || !/^[0-9]+$/.test(prefix) || bits > (family === 4 ? 32 : 128)) return undefined
    list.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6")
  }
  return list
}

// What is not of the public internet (RFC 6890, and IANA's registries of special-purpose addresses).
const special4 = ranges([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/3"
])!

// Of IPv6, only global unicast is public; of that not what carries an IPv4 address inside, or is for documentation.
const global6 = ranges(["2000::/3"])!
const special6 = ranges(["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"])!

/** Whether an address is of the public internet. */
export const isPublic = (address: string): boolean => {
  switch (Net.isIP(address)) {
    case 4:
      return !special4.check(address, "ipv4")
    case 6:
      return global6.check(address, "ipv6") && !special6.check(address, "ipv6")
    default:
      return false
  }
}

/** Whether an address is in a set. */
export const isIn = (list: Net.BlockList, address: string): boolean =>
  list.check(address, Net.isIP(address) === 4 ? "ipv4" : "ipv6")
