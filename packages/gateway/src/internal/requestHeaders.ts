type Headers = { readonly [name: string]: string | undefined }

// What a proxy before this one may have written of who it has let in, too.
const credentials =
  /auth|cookie|token|secret|password|api-?key|session|credential|jwt|assertion|identity|cert|account|tenant|e-?mail|user/

/** Whether a header of a request may say who asks. */
export const saysWhoItIs = (headers: Headers): boolean =>
  Object.keys(headers).some((name) => !isKnown(name) && credentials.test(name))

// What clients, and those between, write of their own accord.
const usual = new Set(
  "accept accept-charset accept-encoding accept-language cache-control cdn-loop connection content-length dnt early-data expect forwarded host "
    .concat(
      "if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive max-forwards origin pragma "
    )
    .concat("priority range referer save-data te traceparent tracestate upgrade-insecure-requests user-agent via ")
    .concat(
      "x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip x-request-id x-requested-with"
    )
    .split(" ")
)

const isKnown = (name: string): boolean => usual.has(name) || name.startsWith("sec-") || name.startsWith(":")

/** Headers of a request that may make its answer another one than others get. */
export const unusualOf = (headers: Headers): ReadonlyArray<string> =>
  Object.keys(headers).filter((name) => !isKnown(name))
