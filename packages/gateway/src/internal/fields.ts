/**
 * The kinds of value that a config file is made of. Each says what it expects in words that finish the sentence "expected …", and carries
 * the same rule into the JSON Schema that editors check with.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** What is annotated with this is never printed. */
export const secretKey = "blackgate/secret"

const anything = (): [{}, true] => [{}, true]

const string = (expected: string) => Schema.String.annotate({ expected })
const number = (expected: string) => Schema.Number.annotate({ expected })

export const text = string("text")

export const secret = Schema.String.annotate({ expected: "text", [secretKey]: true })

export const flag = Schema.Boolean.annotate({ expected: "true or false" })

const matching = (expected: string, pattern: RegExp) => string(expected).check(Schema.isPattern(pattern, { expected }))

const holding = (expected: string, holds: (text: string) => boolean) =>
  string(expected).check(Schema.makeFilter(holds, { expected, toJsonSchema: anything }))

// What a terminal takes for a command has no place in a name.
export const name = matching(
  "a name, without spaces around it",
  // oxlint-disable-next-line no-control-regex
  /^[^\s\u0000-\u001f\u007f-\u009f](?:[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*[^\s\u0000-\u001f\u007f-\u009f])?$/u
)

/** RFC 3986, section 3.2.2, in ASCII. */
export const host = matching("a host, without a port", /^(?:\[[\da-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]+)$/u)

export const hostAndPort = matching(
  "a host, or a host:port",
  /^(?:\[[\da-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{1,5})?$/u
)

export const file = matching("the path of a file", /^[^\0]+$/u)

/** A whole number, from `minimum` to `maximum`. */
export const whole = (minimum: number, maximum?: number) => {
  const expected = maximum === undefined
    ? `a whole number of at least ${minimum}`
    : `a whole number from ${minimum} to ${maximum}`
  const least = number(expected).check(
    Schema.isInt({ expected }),
    Schema.isGreaterThanOrEqualTo(minimum, { expected })
  )
  return maximum === undefined ? least : least.check(Schema.isLessThanOrEqualTo(maximum, { expected }))
}

/** A number of at least `minimum`. */
export const atLeast = (minimum: number) => {
  const expected = `a number of at least ${minimum}`
  return number(expected).check(Schema.isFinite({ expected }), Schema.isGreaterThanOrEqualTo(minimum, { expected }))
}

/** More than 0, and 1 at the most. */
export const share = number("a number of more than 0 and at most 1").check(
  Schema.isFinite({ expected: "a number of more than 0 and at most 1" }),
  Schema.isGreaterThan(0, { expected: "a number of more than 0 and at most 1" }),
  Schema.isLessThanOrEqualTo(1, { expected: "a number of more than 0 and at most 1" })
)

/** From 0 to 1. */
export const fraction = number("a number from 0 to 1").check(
  Schema.isFinite({ expected: "a number from 0 to 1" }),
  Schema.isGreaterThanOrEqualTo(0, { expected: "a number from 0 to 1" }),
  Schema.isLessThanOrEqualTo(1, { expected: "a number from 0 to 1" })
)

// What a timer of Node's holds is a little more.
const longest = 24 * 86_400_000

/** As the Python program counts time. */
export const seconds = number("a number of seconds of more than 0, and of 24 days at most").check(
  Schema.isFinite({ expected: "a number of seconds of more than 0, and of 24 days at most" }),
  Schema.isGreaterThan(0, { expected: "a number of seconds of more than 0, and of 24 days at most" }),
  Schema.isLessThanOrEqualTo(longest / 1000, { expected: "a number of seconds of more than 0, and of 24 days at most" })
)

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const spelled = /^(?=.*[1-9])(\d{1,9}(?:\.\d{1,9})?) ?(?:(ms|s|m|h|d)|(milli|second|minute|hour|day)s?)$/u

/** In milliseconds, of what `duration` has let through. */
export const millis = (duration: string): number => {
  const [, amount, short, long] = spelled.exec(duration) ?? []
  return Number(amount) * units[short ?? (long === "milli" ? "ms" : long!.charAt(0))]!
}

const spelling = "a duration with its unit, longer than zero and of 24d at most, such as 500ms, 5s, 1m or \"5 seconds\""

/** With its unit: seconds and milliseconds are too easily taken for each other. */
export const duration = matching(spelling, spelled).check(
  // What is spelled in another way is told of already.
  Schema.makeFilter((text: string) => !spelled.test(text) || millis(text) <= longest, {
    expected: spelling,
    toJsonSchema: anything
  })
)

const tokens = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/u

/** RFC 9110, section 5.6.2. */
export const token = (expected: string) => matching(expected, tokens)

export const fieldName = token("the name of a header")

export const method = token("a method, such as GET")

/** RFC 9110, section 5.5: visible characters, and spaces and tabs between them. */
export const headerValue = matching(
  "text that a header can hold, on one line",
  /^(?:[\u0021-\u007e\u0080-\u00ff](?:[\t\u0020-\u007e\u0080-\u00ff]*[\u0021-\u007e\u0080-\u00ff])?)?$/u
)

export const trusted = holding(
  "a network such as 10.0.0.0/8, without host bits, an address, or \"unix:\"",
  (text) =>
    text === "unix:"
    || (text.includes("/")
      ? Result.isSuccess(IpNetwork.fromInput(text))
      : Result.isSuccess(NetAddress.ipFromString(text)))
)

/** Whether Blackgate can go there. Credentials belong into a header. */
const isHttpUrl = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && /^https?:\/\//i.test(text) && url.username === "" && url.password === ""
    && !/[?#\s\\]/.test(text)
}

export const url = holding("an http or https URL, without a user, a query or a fragment", isHttpUrl)

export const tlsVersion = Schema.Literals(["TLSv1.2", "TLSv1.3"])

/** From what matters most to what matters least. */
export const criticality = Schema.Literals(["critical-plus", "critical", "sheddable-plus", "sheddable"])

/** One, or several. */
export const oneOrMore = <S extends Schema.Constraint>(schema: S) =>
  Schema.Union([schema, Schema.NonEmptyArray(schema)])

/** A key that has to be there. */
export const required = <S extends Schema.Top>(schema: S, description: string) => schema.annotateKey({ description })

/** A key that may be there; the description says what holds without it. */
export const optional = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema).annotateKey({ description })
