import { Effect } from "effect"
import type { Wire } from "./Wire.ts"

/** Frames of HTTP/2, written and read byte by byte, with whatever mistake a test wants (RFC 9113, section 4). */

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9
} as const

export const flags = { endStream: 1, ack: 1, endHeaders: 4 } as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const frame = (type: number, flag: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flag
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** Identifiers and values. */
export const settings = (...pairs: ReadonlyArray<readonly [id: number, value: number]>): Buffer =>
  frame(
    types.settings,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), uint32(value)])))
  )

/** A field, literally, without indexing or Huffman coding (RFC 7541, section 6.2.2). */
const field = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0]),
    lengthOf(name),
    Buffer.from(name, "latin1"),
    lengthOf(value),
    Buffer.from(value, "latin1")
  ])

const lengthOf = (text: string): Buffer => {
  if (text.length < 127) return Buffer.from([text.length])
  const bytes = [127]
  let rest = text.length - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 + 128)
  return Buffer.from([...bytes, rest])
}

export const block = (fields: ReadonlyArray<readonly [name: string, value: string]>): Buffer =>
  Buffer.concat(fields.map(([name, value]) => field(name, value)))

/** The head of a request; what is not given is that of a GET. */
export const request = (
  stream: number,
  fields: ReadonlyArray<readonly [name: string, value: string]> = [],
  { ends = true, method = "GET", path = "/", authority = "gateway.test" } = {}
): Buffer => {
  const head = block([
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    ...(authority === "" ? [] : [[":authority", authority] as const]),
    ...fields
  ])
  const first = head.subarray(0, 16_384)
  const rest = head.subarray(16_384)
  const flag = (ends ? flags.endStream : 0) | (rest.length === 0 ? flags.endHeaders : 0)
  return Buffer.concat([
    frame(types.headers, flag, stream, first),
    ...(rest.length === 0 ? [] : [frame(types.continuation, flags.endHeaders, stream, rest)])
  ])
}

/** The next frame, taken off. */
export const next = (wire: Wire): Effect.Effect<Frame> =>
  wire.until("a frame", ({ received }) => {
    if (received.length < 9) return undefined
    const length = received.readUIntBE(0, 3)
    if (received.length < 9 + length) return undefined
    const read = {
      type: received[3]!,
      flags: received[4]!,
      stream: received.readUInt32BE(5) & 0x7fffffff,
      payload: Buffer.from(received.subarray(9, 9 + length))
    }
    wire.take(9 + length)
    return read
  })

/** The next frame of a type, and of a stream if one is named; those before it are left away. */
export const nextOf = (wire: Wire, type: number | ReadonlyArray<number>, stream?: number): Effect.Effect<Frame> =>
  Effect.gen(function*() {
    for (;;) {
      const read = yield* next(wire)
      if ([type].flat().includes(read.type) && (stream === undefined || read.stream === stream)) return read
    }
  })

/** The status, if it is one that HPACK's static table holds, or is spelled out (RFC 7541, appendix A). */
export const statusOf = ({ payload }: Frame): number => {
  const known = [200, 204, 206, 304, 400, 404, 500]
  const first = payload[0]!
  if (first >= 0x88 && first <= 0x8e) return known[first - 0x88]!
  // A literal with the name's index: 4 or 6 bits of it, then the value, which may be Huffman-coded.
  const length = payload[1]!
  const value = payload.subarray(2, 2 + (length & 127))
  return Number(length & 128 ? digitsOf(value) : value.toString("latin1"))
}

// Huffman codes of the digits are 5 bits for 0, 1 and 2, and 6 for the others (RFC 7541, appendix B).
const digitsOf = (bytes: Buffer): string => {
  let bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("")
  let text = ""
  while (bits.length >= 5 && text.length < 3) {
    const five = Number.parseInt(bits.slice(0, 5), 2)
    if (five < 3) {
      text += five
      bits = bits.slice(5)
    } else {
      text += Number.parseInt(bits.slice(0, 6), 2) - 0b011001 + 3
      bits = bits.slice(6)
    }
  }
  return text
}
