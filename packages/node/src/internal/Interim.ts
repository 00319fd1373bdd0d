const blank = Buffer.from("\r\n\r\n")
const version = Buffer.from("HTTP/1.")
/** Where the status stands in `HTTP/1.1 200`. */
const status = 9
/** More than undici takes of a head. */
const longest = 64 * 1024
// What is dropped here is read by nobody else, who would refuse what only looks like it (RFC 9112, sections 2.2, 4 and 5).
const isContinue = /^HTTP\/1\.[01] 100(?: [^\0\r\n]*)?\r\n(?:[-\w!#$%&'*+.^`|~]+:[^\0\r\n]*\r\n)*\r\n$/

/**
 * What comes before the final response on a connection. A client can discard a 100 that it has not asked for (RFC 9110, section
 * 15.2.1); undici takes it for the end of the connection, so it is taken out here. Other interim responses pass, one at a time.
 */
export class Interim {
  /** Whether the final response is still to begin. */
  isExpected = false
  /** What has come of a head that may be interim, and is not whole yet. */
  private part: Buffer | undefined = undefined
  /** What has come behind an interim response that is being read. */
  private behind: Buffer | undefined = undefined

  reset(): void {
    this.isExpected = false
    this.part = this.behind = undefined
  }

  expect(): void {
    this.isExpected = true
  }

  /** What is to be read before anything else is. */
  rest(): Buffer | null | undefined {
    const { behind } = this
    if (behind === undefined) return undefined
    this.behind = undefined
    return this.filter(behind)
  }

  /** What there is to read of a chunk; `null` if that is nothing yet. */
  filter(chunk: Buffer): Buffer | null {
    let bytes = this.part === undefined ? chunk : Buffer.concat([this.part, chunk])
    this.part = undefined
    while (this.isExpected) {
      // The usual case first: all of the status is there, and it is a final one.
      if (bytes.length > status + 2 ? bytes[status] !== 0x31 : !mayBegin(bytes)) break
      if (bytes.length > status + 2) {
        const code = bytes.toString("latin1", status, status + 3)
        // What follows a 101 is no HTTP any more.
        if (code === "101" || !mayBegin(bytes)) break
        const end = bytes.indexOf(blank)
        if (end >= 0) {
          const next = end + blank.length
          if (code !== "100") {
            if (next < bytes.length) this.behind = bytes.subarray(next)
            return bytes.subarray(0, next)
          }
          if (!isContinue.test(bytes.toString("latin1", 0, next))) break
          if (next === bytes.length) return null
          bytes = bytes.subarray(next)
          continue
        }
        if (bytes.length > longest) break
      }
      this.part = bytes
      return null
    }
    this.isExpected = false
    return bytes
  }
}

const mayBegin = (bytes: Buffer): boolean => {
  const length = Math.min(bytes.length, version.length)
  return bytes.compare(version, 0, length, 0, length) === 0
}
