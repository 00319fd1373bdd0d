import type { Http2Stream } from "node:http2"
import type * as Net from "node:net"

/** What has to hear of it when a client's connection closes. */
export interface Watcher {
  clientGone(): void
}

const watched = new WeakMap<Net.Socket, Set<Watcher>>()

/**
 * Tells a watcher when the connection of a client closes. Node tells the response that has the socket; one that is pipelined behind
 * it never hears of the end, and would hold its permit for ever. One listener serves all requests of a connection.
 */
export const watch = (socket: Net.Socket, watcher: Watcher): () => void => {
  let watchers = watched.get(socket)
  if (watchers === undefined) {
    const set = watchers = new Set<Watcher>()
    watched.set(socket, set)
    socket.once("close", () => {
      for (const one of set) one.clientGone()
    })
  }
  const set = watchers
  set.add(watcher)
  return () => set.delete(watcher)
}

/** The same of HTTP/2, where each request has a stream of its own. Its end comes after that of an exchange that went well. */
export const watchStream = (stream: Http2Stream, watcher: Watcher): () => void => {
  const gone = () => watcher.clientGone()
  stream.once("aborted", gone).once("close", gone)
  return () => stream.off("aborted", gone).off("close", gone)
}
