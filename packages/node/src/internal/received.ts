/** What undici hands over, as it stood on the wire. */
import type { HeaderList } from "@blackgate/http/HeaderList"
import type * as Http from "node:http"

/** Fields as they came, in Latin-1; from the record that was made of them where they are not kept. */
export const fieldsOf = (
  raw: ReadonlyArray<string | Buffer> | Http.IncomingHttpHeaders | null | undefined,
  record: Http.IncomingHttpHeaders
): HeaderList => {
  if (isList(raw)) {
    const list: Array<string> = []
    for (const part of raw) list.push(typeof part === "string" ? part : part.toString("latin1"))
    return list
  }
  return Object.entries(record).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]))
}

const isList = (raw: unknown): raw is ReadonlyArray<string | Buffer> => Array.isArray(raw)

/** undici reads it as UTF-8, and Node writes it as Latin-1. */
export const bytesOf = (statusText: string | undefined): string | undefined =>
  statusText === undefined || /^[\t -~]*$/.test(statusText) ? statusText : Buffer.from(statusText).toString("latin1")

/** Whether nothing but the end of the connection says where the body ends. */
export const endsWithConnection = (headers: HeaderList): boolean => {
  for (let i = 0; i < headers.length; i += 2) {
    if (/^(?:content-length|transfer-encoding)$/i.test(headers[i]!)) return false
  }
  return true
}
