/** Bytes that an upstream might answer with: a response, nearly a response, too much of it, in pieces. */
import * as fc from "fast-check"
import {
  content,
  crlf,
  cutsOf,
  edit,
  edited,
  field,
  framed,
  join,
  mostly,
  oddly,
  one,
  type Part,
  plainly
} from "./messageBytes.ts"

export interface Answered {
  /** What the client asks with. */
  readonly method: "GET" | "HEAD" | "POST"
  readonly version: "1.0" | "1.1"
  /** Latin-1. */
  readonly bytes: string
  /** Where it is cut into pieces that are sent one by one. */
  readonly cuts: ReadonlyArray<number>
  /** What becomes of the connection when they are sent. */
  readonly after: "keep" | "end" | "reset"
  /** Whether there is nothing about it that a client may refuse. */
  readonly plain: boolean
}

const version = mostly(
  plainly("HTTP/1.1 "),
  oddly("HTTP/1.0 ", "HTTP/0.9 ", "HTTP/2.0 ", "http/1.1 ", "HTTP/1.1  ", "ICY ", "HTTP/1.1\t", "")
)
const status = fc.oneof(
  { weight: 10, arbitrary: plainly("200 OK", "200 ", "404 Not Found", "500 Oh no", "301 Moved", "201 \u00e9") },
  { weight: 3, arbitrary: plainly("204 No Content", "304 Not Modified", "205 Reset Content", "206 Partial Content") },
  {
    weight: 1,
    arbitrary: oddly("200", "99 No", "600 No", "1000 No", "2 No", "2x0 No", "", "-200 No", "200 \0", "000 ", "999 No")
  }
)
const lineOf = (line: ReadonlyArray<Part>): Part => join([...line, one("\r\n")])
const interim = mostly(
  plainly("", "", "", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 102 \r\n\r\n"),
  oddly(
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "\r\n",
    "x"
  )
)
const response = fc.record({
  interim,
  line: fc.tuple(version, status),
  fields: fc.array(
    fc.oneof({ weight: 3, arbitrary: field }, {
      weight: 1,
      arbitrary: plainly(
        "Set-Cookie: a=b; Path=/",
        "set-cookie: c=\u00e9",
        "Connection: close",
        "Keep-Alive: timeout=1"
      )
    }),
    { maxLength: 4 }
  ),
  framed,
  at: fc.nat(4),
  ends: fc.tuple(crlf, crlf)
}).map(({ at, ends, fields, framed, interim, line }) => {
  const all = [...fields]
  all.splice(at, 0, ...framed.fields)
  const [first, second] = ends
  return join([interim, lineOf(line), ...(all.length === 0 ? [] : [join(all, "\r\n"), first]), second, framed.body])
})

/** Responses behind the one that was asked for, and other things. */
const excess = fc.oneof(
  { weight: 6, arbitrary: fc.constant("") },
  {
    weight: 1,
    arbitrary: fc.oneof(
      content,
      fc.constantFrom("x", "\r\n", "0\r\n\r\n", "HTTP/1.1 200 OK\r\nX-Echo: evil\r\nContent-Length: 4\r\n\r\nevil")
    )
  }
)

/** What an upstream answers, and to what. */
export const answered: fc.Arbitrary<Answered> = fc.record({
  method: fc.constantFrom("GET" as const, "GET" as const, "HEAD" as const, "POST" as const),
  version: fc.constantFrom("1.1" as const, "1.1" as const, "1.1" as const, "1.0" as const),
  after: fc.constantFrom("keep" as const, "end" as const, "reset" as const),
  response,
  excess,
  edits: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, {
    weight: 1,
    arbitrary: fc.array(edit, { minLength: 1, maxLength: 3 })
  }),
  /** How much of it is sent. */
  share: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, {
    weight: 1,
    arbitrary: fc.double({ min: 0, max: 1, noNaN: true })
  })
}).chain(({ edits, excess, method, response, share, after, version }) => {
  const all = edited(response.bytes, edits) + excess
  const bytes = all.slice(0, Math.ceil(share * all.length))
  const plain = response.plain && edits.length === 0 && excess === "" && share === 1
  return cutsOf(bytes.length).map((cuts) => ({ method, version, bytes, cuts, after, plain }))
})
