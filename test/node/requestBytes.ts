/** Bytes that a client might send: requests, nearly requests, several of them, in pieces. */
import * as fc from "fast-check"
import {
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

export interface Sent {
  /** Latin-1. */
  readonly bytes: string
  /** Where it is cut into pieces that are sent one by one. */
  readonly cuts: ReadonlyArray<number>
  /** Whether there is nothing about it that a server may refuse. */
  readonly plain: boolean
}

const method = mostly(
  plainly("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "QUERY", "PROPFIND"),
  oddly("get", "G T", "", "FOO", "GET\0", "CONNECT", "TRACE", "SOURCE", "PRI", "GET\r\n", "X-Y", "GET\t")
)
// The router answers for itself where an escape is none, whatever else is wrong; that is a page of its own.
const target = mostly(
  plainly("/", "/a/b", "/a?b=c", "/a?b=/../;c", "http://h.test/x?y", "/x.?", "/~!$&'()*+,=:@-._"),
  oddly(
    "*",
    "",
    "a",
    "a:80",
    "//x//y",
    "/a;v=1",
    "/a b",
    "/a#b",
    "/\u0001",
    "/\u00e9",
    "/a\\b",
    "http://h.test",
    "HTTPS://h.test?q",
    "http://u@h.test/",
    "http:///x",
    "ftp://h.test/",
    "http:x",
    "/x HTTP/1.1\r\nHost: h\r\n\r\nGET /y"
  )
)
const version = mostly(
  plainly("HTTP/1.1"),
  oddly(
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/1.2",
    "HTTP/1.11",
    "http/1.1",
    "HTTP/1.1 ",
    "HTTP/11",
    "ICE/1.0",
    "RTSP/1.0",
    ""
  )
)
const host = mostly(
  plainly("Host: h.test", "host:h.test:80", "HOST: \t[::1]:80 "),
  oddly(
    "X-None: 1",
    "Host: h.test\r\nHost: h.test",
    "Host:",
    "Host: u@h.test",
    "Host: h.test/x",
    "Host: h.test, i.test",
    "Host: h h",
    "Host : h.test",
    " Host: h.test",
    "Host: h.test\nX-A: 1",
    "Host: h.test\r\n i.test"
  )
)
const request: fc.Arbitrary<Part> = fc.record({
  line: fc.tuple(
    method,
    mostly(plainly(" "), oddly("  ", "\t", "")),
    target,
    mostly(plainly(" "), oddly("  ", "\t", "")),
    version
  ),
  host,
  fields: fc.array(field, { maxLength: 4 }),
  framed,
  at: fc.nat(5),
  ends: fc.tuple(crlf, crlf)
}).map(({ at, ends, fields, framed, host, line }) => {
  const all = [host, ...fields]
  all.splice(at, 0, ...framed.fields)
  const [first, second] = ends
  return join([join(line), one("\r\n"), join(all, "\r\n"), first, second, framed.body])
})

/** What a client sends on one connection. */
export const sent: fc.Arbitrary<Sent> = fc.tuple(
  fc.array(request, { minLength: 1, maxLength: 4 }),
  fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, {
    weight: 1,
    arbitrary: fc.array(edit, { minLength: 1, maxLength: 3 })
  })
).chain(([requests, edits]) => {
  const { bytes, plain } = join(requests)
  const all = edited(bytes, edits)
  return cutsOf(all.length).map((cuts) => ({ bytes: all, cuts, plain: plain && edits.length === 0 }))
})
