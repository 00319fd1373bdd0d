/** What undici hands over, as it stood on the wire. */
import type { HeaderList } from "@blackgate/http/HeaderList"
import type * as Http from "node:http"
import { nameAt } from "./spellings.ts"

/**
 * Fields as they came, in Latin-1; from the record that was made of them where they are not kept. The `chunk` is the one that all of them
 * came in, where that is known.
 */
export const fieldsOf = (
  raw: ReadonlyArray<string | Buffer> | Http.IncomingHttpHeaders | null | undefined,
  record: Http.IncomingHttpHeaders,
  chunk?: Buffer
): HeaderList => {
  if (isList(raw)) return (chunk && fieldsIn(chunk, raw)) ?? raw.map(textOf)
  return Object.entries(record).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]))
}

const textOf = (part: string | Buffer): string => typeof part === "string" ? part : part.toString("latin1")

/**
 * The fields that are parts of a chunk, in a third of the time: all that lies between the first and the last is read at once. `undefined`
 * where a part is not in its place: undici makes one of several for what the parser hands over in pieces.
 */
const fieldsIn = (chunk: Buffer, parts: ReadonlyArray<string | Buffer>): HeaderList | undefined => {
  const first = parts[0]
  const last = parts[parts.length - 1]
  if (first === undefined || typeof first === "string" || typeof last !== "object") return undefined
  const from = first.byteOffset - chunk.byteOffset
  const to = last.byteOffset + last.length - chunk.byteOffset
  if (first.buffer !== chunk.buffer || from < 0 || to > chunk.length) return undefined
  const text = chunk.toString("latin1", from, to)
  const fields = new Array<string>(parts.length)
  let end = 0
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!
    if (typeof part === "string") return undefined
    const start = part.byteOffset - first.byteOffset
    if (start < end) return undefined
    end = start + part.length
    fields[i] = i % 2 === 0 ? nameAt(text, start, end) : text.slice(start, end)
  }
  return end === text.length ? fields : undefined
}

const isList = (raw: unknown): raw is ReadonlyArray<string | Buffer> => Array.isArray(raw)

/** undici reads it as UTF-8, and Node writes it as Latin-1. */
export const bytesOf = (statusText: string | undefined): string | undefined =>
  statusText === undefined || statusText === "OK" || /^[\t -~]*$/.test(statusText)
    ? statusText
    : Buffer.from(statusText).toString("latin1")

/** Whether nothing but the end of the connection says where the body ends. */
export const endsWithConnection = (headers: HeaderList): boolean => {
  for (let i = 0; i < headers.length; i += 2) {
    if (/^(?:content-length|transfer-encoding)$/i.test(headers[i]!)) return false
  }
  return true
}
