import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** An answer of the gateway's own, as the Python program writes them: with nothing of the inside. */
export const failure = (code: number, message: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ code, message, errors: [] }, { status: code })
