import * as Fs from "node:fs"

// More than a config of a hundred thousand routes, less than what memory can bear.
const mostBytes = 16 * 1024 * 1024

/**
 * What is in a file. A pipe or a device, which may have nothing to say for ever or no end, throws, as does a file that is too large: nobody can
 * be waited for while a gateway answers requests.
 */
export const readRegularFile = (path: string): Buffer => {
  // Without `O_NONBLOCK` a pipe that nobody writes to would not even be opened.
  const fd = Fs.openSync(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
  try {
    const found = Fs.fstatSync(fd)
    if (!found.isFile()) throw new Error(found.isDirectory() ? "it is a folder" : "it is not a regular file")
    if (found.size > mostBytes) throw new Error("it is larger than 16 MiB")
    return Fs.readFileSync(fd)
  } finally {
    Fs.closeSync(fd)
  }
}
