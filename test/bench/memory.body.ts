const size = 64 * 1024
const chunk = Buffer.alloc(size, "blackgate ")

/** A body of so many bytes, in chunks that are one buffer: it costs whoever sends it nothing. */
export function* chunks(bytes: number): Generator<Buffer> {
  for (; bytes >= size; bytes -= size) yield chunk
  if (bytes > 0) yield chunk.subarray(0, bytes)
}
