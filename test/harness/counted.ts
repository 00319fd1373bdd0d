import { createHash } from "node:crypto"

export const MiB = 1024 * 1024

/** A body that says at each place where that is, so that memory that was used again too early shows. */
export function* counted(from: number, bytes: number): Generator<Buffer> {
  const chunk = Buffer.allocUnsafe(MiB)
  for (let done = 0; done < bytes; done += MiB) {
    for (let i = 0; i < MiB; i += 4) chunk.writeUInt32LE((from * 65_536 * 4 + done + i) >>> 0, i)
    yield Buffer.from(chunk)
  }
}

/** The SHA-256 of one. */
export const digestOf = (from: number, bytes: number): string => {
  const hash = createHash("sha256")
  for (const chunk of counted(from, bytes)) hash.update(chunk)
  return hash.digest("hex")
}
