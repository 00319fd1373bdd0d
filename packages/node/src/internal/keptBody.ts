import type { Request } from "@blackgate/http/Transport"
import * as Effect from "effect/Effect"

/** The body of a request that somebody has read by Effect's own means, which keep it: a middleware that checks a signature, say. */
export const keptOf = ({ source }: Request): Uint8Array | undefined => {
  // Where none is kept, nobody may ask for it: that would wait for what others have read.
  const { arrayBufferEffect: kept } = source as { readonly arrayBufferEffect?: unknown }
  if (kept === undefined) return undefined
  const exit = Effect.runSyncExit(source.arrayBuffer)
  return exit._tag === "Success" ? new Uint8Array(exit.value) : undefined
}
