import type { HeaderList } from "../HeaderList.ts"

/** A name: of a method, of a field (RFC 9110, section 5.6.2). */
export const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** What a field, or a reason phrase, may hold: a line break would begin another one (RFC 9110, section 5.5). */
export const text = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/** What is wrong with fields that must not be sent so. */
export const wrongFields = (headers: HeaderList): string | undefined => {
  for (let i = 0; i < headers.length; i += 2) {
    if (!token.test(headers[i]!)) return `the header name ${JSON.stringify(headers[i])} is no token`
    if (!text.test(headers[i + 1]!)) return `the value of the header ${headers[i]} holds a byte that can't be sent`
  }
  return undefined
}
