/** What requests and responses are made of on the wire, and what they should not be made of. */
import * as fc from "fast-check"

export interface Part {
  readonly bytes: string
  readonly plain: boolean
}

export const plainly = (...bytes: ReadonlyArray<string>): fc.Arbitrary<Part> =>
  fc.constantFrom(...bytes.map((bytes) => ({ bytes, plain: true })))
export const oddly = (...bytes: ReadonlyArray<string>): fc.Arbitrary<Part> =>
  fc.constantFrom(...bytes.map((bytes) => ({ bytes, plain: false })))

/** Mostly the one, now and then the other. */
export const mostly = (plain: fc.Arbitrary<Part>, odd: fc.Arbitrary<Part>): fc.Arbitrary<Part> =>
  fc.oneof({ weight: 30, arbitrary: plain }, { weight: 1, arbitrary: odd })

export const join = (parts: ReadonlyArray<Part>, separator = ""): Part => ({
  bytes: parts.map(({ bytes }) => bytes).join(separator),
  plain: parts.every(({ plain }) => plain)
})

export const field = fc.oneof(
  {
    weight: 20,
    arbitrary: plainly(
      "X-A: 1",
      "x-a:2",
      "X-B: \t a, b \t",
      "X-C:",
      "X-D: \u00e9\u00ff",
      "Cookie: a=b; c",
      "Accept: */*",
      "X-E: \"a: b\"",
      "Connection: keep-alive",
      "Connection: X-A, ,x-b",
      "Connection: content-length, transfer-encoding, host",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "TE: trailers, deflate",
      "Trailer: X-T",
      "X-Forwarded-For: 1.2.3.4"
    )
  },
  {
    weight: 1,
    arbitrary: oddly(
      "Connection: close",
      "Expect: 100-continue",
      "Expect: 100-continue, 100-continue",
      "HTTP2-Settings: AAA",
      "X-A : 1",
      "X-A",
      ": 1",
      "X A: 1",
      " X-A: 1",
      "X-A: 1\r\n 2",
      "X-A: 1\n2: 3",
      "X-A: 1\r2",
      "X-A: \0",
      "X-A: \u007f",
      "X\u00e9: 1",
      "X-A: 1\r\n\r\n",
      "X-A: 1\r\n",
      "Content-Length: 0",
      "Transfer-Encoding: chunked"
    )
  }
)

export const content = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", "\r", "\n", "\0", "0", ";", "\u00ff"), maxLength: 24 }),
  fc.constantFrom(
    "GET /smuggled HTTP/1.1\r\nHost: h.test\r\n\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "x".repeat(70_000)
  )
)

const extension = mostly(
  plainly("", "", "", ";a", ";a=b", ";a=\"b;\\\"c\""),
  oddly(" ", ";", " ;a", ";a=", ";\n", ";a\nb", ";a=\"\r\n\"", "\t", ";a b", "\0")
)
const size = (length: number): fc.Arbitrary<Part> => {
  const hex = length.toString(16)
  return mostly(
    plainly(hex, hex.toUpperCase(), `00${hex}`),
    oddly(
      `0x${hex}`,
      `-${hex}`,
      `+${hex}`,
      ` ${hex}`,
      "",
      `${hex}g`,
      `1000000000000000${hex}`,
      (length + 1).toString(16)
    )
  )
}
export const crlf = mostly(plainly("\r\n"), oddly("\n", "\r", "", "\r\r\n", "\n\r", "x\r\n"))
const chunk = (text: string): fc.Arbitrary<Part> =>
  fc.tuple(size(text.length), extension, crlf, plainly(text), crlf).map((parts) => join(parts))
const trailer = mostly(
  plainly("", "", "X-T: 1\r\n", "X-T: 1\r\nX-U:\r\n"),
  oddly(
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: i.test\r\n",
    "X-T : 1\r\n",
    "X\r\n",
    "X: \0\r\n",
    "X: 1\n"
  )
)
const last = fc.tuple(mostly(plainly("0", "00"), oddly("0x0", "", "-0", " 0")), extension, crlf, trailer, crlf)
const chunks = content.chain((text) =>
  fc.array(fc.nat(text.length), { maxLength: 4 }).chain((cuts) => {
    const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
    const pieces = at.slice(1).map((end, i) => text.slice(at[i], end)).filter((piece) => piece !== "")
    return fc.tuple(...pieces.map(chunk), last.map((parts) => join(parts))).map((parts) => join(parts))
  })
)

/** What says where the body ends, and the body. */
export interface Framed {
  readonly fields: ReadonlyArray<Part>
  readonly body: Part
}
export const one = (bytes: string, plain = true): Part => ({ bytes, plain })
const oddFraming = (length: number) =>
  fc.constantFrom(
    ...["", "+", "-", "0x", " ", "\v", "0", "1"].map((sign) => `Content-Length: ${sign}${length}`),
    ...["", ".0", " 1", ", 1", "\t", ";", "\r\n "].map((after) => `Content-Length:${length}${after}`),
    "Content-Length:",
    "Content-Length: 18446744073709551617",
    "Content_Length: 1",
    "Content-Length : 1",
    ...["chunked", "Chunked", "identity", "gzip, chunked", "chunked, chunked", "chunked, identity", "xchunked"].map((
      coding
    ) => `Transfer-Encoding: ${coding}`),
    ...["", ",chunked", "chunked,", "\"chunked\"", "chunked;a", "chunked\v", "\vchunked", "chunked\r\n x"].map((
      coding
    ) => `Transfer-Encoding: ${coding}`),
    "Transfer-Encoding : chunked",
    "Transfer_Encoding: chunked"
  )
export const framed: fc.Arbitrary<Framed> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ fields: [], body: one("") }) },
  {
    weight: 6,
    arbitrary: content.map((text) => ({ fields: [one(`Content-Length: ${text.length}`)], body: one(text) }))
  },
  { weight: 6, arbitrary: chunks.map((body) => ({ fields: [one("Transfer-Encoding: chunked")], body })) },
  {
    weight: 3,
    arbitrary: fc.oneof(content.map((text) => one(text)), chunks).chain((body) =>
      fc.array(oddFraming(body.bytes.length), { minLength: 1, maxLength: 3 }).map((fields) => ({
        fields: fields.map((field) => one(field, false)),
        body
      }))
    )
  }
)

/** A byte that is put in, left out, doubled or changed, where nobody expects it. */
export const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat(3),
  bytes: fc.oneof(
    fc.constantFrom("\r", "\n", "\r\n", "\0", " ", "\t", ":", ",", ";", "0", "x", "\u00ff", "\u007f", "\r\n\r\n"),
    fc.constant("")
  )
})
export const edited = (bytes: string, edits: ReadonlyArray<{ at: number; length: number; bytes: string }>): string =>
  edits.reduce((text, { at, bytes, length }) => {
    const from = Math.floor(at * text.length)
    return text.slice(0, from) + bytes + text.slice(from + length)
  }, bytes)

export const cutsOf = (length: number): fc.Arbitrary<ReadonlyArray<number>> =>
  length === 0 ? fc.constant([]) : fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 6,
      arbitrary: fc.array(fc.integer({ min: 1, max: length }), { minLength: 1, maxLength: 8 }).map((cuts) =>
        [...new Set(cuts)].toSorted((a, b) => a - b)
      )
    },
    { weight: length < 500 ? 1 : 0, arbitrary: fc.constant(Array.from({ length: length - 1 }, (_, i) => i + 1)) }
  )
