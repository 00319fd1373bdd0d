import type { ModuleFiles } from "./ModuleImport.ts"
import { readRegularFile } from "./readRegularFile.ts"

/** Reads a whole file, by its absolute path; throws if it can't. */
export type Read = (path: string) => Buffer

export const fromDisk: Read = readRegularFile

/** What was read: by its path, what a file had in it, or why it can't be read. */
export type Files = ReadonlyMap<string, Uint8Array | string>

/** Reads from the disk, each file once, and keeps what was there: whoever reads from that reads the same. */
export const recording = (): { readonly read: Read; readonly files: Files; readonly module: ModuleFiles } => {
  const files = new Map<string, Uint8Array | string>()
  return {
    files,
    module: { entry: undefined, sources: new Map() },
    read: (path) => {
      if (!files.has(path)) {
        try {
          files.set(path, fromDisk(path))
        } catch (cause) {
          files.set(path, (cause as Error).message)
        }
      }
      return fromFiles(files)(path)
    }
  }
}

/** Reads what another one has recorded. */
export const fromFiles = (files: Files): Read => (path) => {
  const found = files.get(path) ?? "it was not there when the config was read"
  if (typeof found === "string") throw new Error(found)
  return Buffer.from(found.buffer, found.byteOffset, found.byteLength)
}
