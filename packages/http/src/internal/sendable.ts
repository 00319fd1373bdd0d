import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import * as HeaderList from "../HeaderList.ts"
import type { ProxyResponse } from "../Rewrite.ts"
import type { Response } from "../Transport.ts"
import { text, wrongFields } from "./fields.ts"
import { valueOf } from "./named.ts"

/** Whether it is the status of a response that a client can take for the last one (RFC 9110, section 15). */
const isFinal = (status: number): boolean => Number.isInteger(status) && status >= 200 && status <= 599

/** What is wrong with a response that came from an upstream, if nobody can tell what it says. */
export const unusable = ({ headers, status }: Response): string | undefined => {
  if (!isFinal(status)) return `its status was ${status}`
  // The coding ends here, so a body in another one would arrive as something else (RFC 9112, section 6.1).
  if (valueOf(headers, "transfer-encoding") === undefined) return undefined
  const codings = HeaderList.getAll(headers, "transfer-encoding").join()
  return codings.toLowerCase() === "chunked" ? undefined : `its Transfer-Encoding was ${JSON.stringify(codings)}`
}

/** A reason phrase, if it can be one. It is of no use to anybody, so one that can't is left away (RFC 9112, section 4). */
export const reason = (statusText: string | undefined): string | undefined =>
  statusText === "OK" || (statusText !== undefined && text.test(statusText)) ? statusText : undefined

/** What is wrong with an answer of the user's own, which the server would make a 500 of without a word. */
export const wrongAnswer = ({ headers, status, statusText }: HttpServerResponse): string | undefined =>
  wrongHead(status, statusText) ?? wrongFields(HeaderList.fromHeaders(headers))

/** What is wrong with a response that must not be sent so. */
export const wrongResponse = (response: ProxyResponse): string | undefined => {
  if (!Predicate.isObject(response)) return "it did not return a response"
  return wrongHead(response.status, response.statusText) ?? wrongFields(response.headers)
}

const wrongHead = (status: number, statusText: string | undefined): string | undefined => {
  if (!isFinal(status)) return `the status ${status} can't be sent`
  return statusText === reason(statusText) ? undefined : `the status text ${JSON.stringify(statusText)} can't be sent`
}
