import * as HeaderList from "../HeaderList.ts"
import * as Elements from "./forwardedElements.ts"
import { bracket, isHost, isPort, isPrefix, isScheme, type Node, nodeOf } from "./hop.ts"

/** How many hops are read of a list, from its near end. No honest request has come so far. */
const maxHops = 32

/** How a request came to a peer, as trusted proxies tell it: lists with the client first. */
export interface History {
  readonly nodes: Array<Node>
  readonly host: Array<string>
  readonly proto: Array<string>
  readonly port: Array<string>
  readonly prefix: Array<string>
  /** The same as `Forwarded` has it. */
  readonly elements: Array<Elements.Element>
  /** Whether nothing was cut off before the first node. */
  readonly isWhole: boolean
}

/** A list that was read from its near end, to its first item that is malformed: what is beyond that was said by nobody knows whom. */
class Items<A> {
  readonly items: Array<A> = []
  isWhole = true

  /** Whether there may be more. */
  add(item: A | undefined): boolean {
    this.isWhole = item !== undefined && this.items.length < maxHops
    if (this.isWhole) this.items.unshift(item!)
    return this.isWhole
  }
}

const listOf = <A>(raw: HeaderList.HeaderList, name: string, read: (item: string) => A | undefined): Items<A> => {
  const list = new Items<A>()
  for (const value of HeaderList.getAll(raw, name).toReversed()) {
    for (const part of value.split(",").toReversed()) {
      const item = part.trim()
      if (item !== "" && !list.add(read(item))) return list
    }
  }
  return list
}

const only = (isValid: (item: string) => boolean) => (item: string): string | undefined =>
  isValid(item) ? item : undefined

/** Of a client alone, which something before this has found out. */
export const toldBy = (client: string): History => {
  const node = nodeOf(client)
  return {
    nodes: node === undefined ? [] : [node],
    host: [],
    proto: [],
    port: [],
    prefix: [],
    elements: node === undefined ? [] : [{ for: bracket(node.text) }],
    isWhole: true
  }
}

/** From the `X-Forwarded-*` of a request. */
export const fromXForwarded = (raw: HeaderList.HeaderList): History => {
  const { isWhole, items: nodes } = listOf(raw, "x-forwarded-for", nodeOf)
  const host = listOf(raw, "x-forwarded-host", only(isHost)).items
  const proto = listOf(raw, "x-forwarded-proto", only(isScheme)).items
  const port = listOf(raw, "x-forwarded-port", only(isPort)).items
  const prefix = listOf(raw, "x-forwarded-prefix", only(isPrefix)).items
  // Which hop a host belongs to is known only where there is one of each.
  const elements = nodes.map(({ text }, i) => ({
    for: bracket(text),
    ...(host.length === nodes.length ? { host: host[i]! } : {}),
    ...(proto.length === nodes.length ? { proto: proto[i]! } : {})
  }))
  return { nodes, host, proto, port, prefix, elements, isWhole }
}

const unknown: Node = { text: "unknown", address: undefined }

interface Hop {
  readonly node: Node
  readonly element: Elements.Element
}

const hopOf = (element: Elements.Element): Hop | undefined => {
  const { by, for: from, host, proto } = element
  const node = from === undefined ? unknown : nodeOf(from)
  const isValid = (by === undefined || nodeOf(by) !== undefined) && (host === undefined || isHost(host)) &&
    (proto === undefined || isScheme(proto))
  if (node === undefined || !isValid) return undefined
  return { node, element: from === undefined ? element : { ...element, for: bracket(node.text) } }
}

/** From the `Forwarded` of a request. */
export const fromForwarded = (raw: HeaderList.HeaderList): History => {
  const hops = new Items<Hop>()
  read:
  for (const value of HeaderList.getAll(raw, "forwarded").toReversed()) {
    for (const element of Elements.parse(value)?.toReversed() ?? [undefined]) {
      if (!hops.add(element && hopOf(element))) break read
    }
  }
  const elements = hops.items.map(({ element }) => element)
  return {
    nodes: hops.items.map(({ node }) => node),
    host: elements.flatMap(({ host }) => host ?? []),
    proto: elements.flatMap(({ proto }) => proto ?? []),
    port: [],
    prefix: [],
    elements,
    isWhole: hops.isWhole
  }
}
