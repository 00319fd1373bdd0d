import type { buildConnector } from "undici"

/**
 * What connections break off with, for as long as undici is told of it.
 *
 * To undici a reset is the end of a body that has no other end than that of its connection (`onHttpSocketError`), as macOS resets
 * connections that have ended in order. So half of a body would look like all of it (RFC 9112, section 8).
 */
export class Resets {
  current: Error | undefined = undefined

  /** Connects, and hears of a connection's error before undici does. */
  watching(connect: buildConnector.connector): buildConnector.connector {
    return (options, callback) =>
      connect(options, (...result) => {
        result[1]?.on("error", this.onError)
        callback(...result)
      })
  }

  private readonly onError = (error: Error): void => {
    this.current = error
    // undici's listener is called in this same turn.
    queueMicrotask(() => this.current = undefined)
  }
}

/** Whether nothing but the end of the connection says where the body ends. */
export const endsWithConnection = (headers: ReadonlyArray<string>): boolean => {
  for (let i = 0; i < headers.length; i += 2) {
    if (/^(?:content-length|transfer-encoding)$/i.test(headers[i]!)) return false
  }
  return true
}
