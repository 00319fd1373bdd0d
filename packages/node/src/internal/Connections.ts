import type { Http2Stream } from "node:http2"
import type * as Net from "node:net"

/** What has to hear of it when a client's connection closes. */
export interface Watcher {
  clientGone(): void
}

const tag = Symbol("blackgate.watchers")

interface Tagged {
  // One as a rule, and few more; and no `Set`, for the reason that `Roster` tells.
  [tag]?: Array<Watcher>
}

/** Listens for the end of a connection, if nobody does yet: one listener serves all requests of it. */
export const listen = (socket: Net.Socket): Array<Watcher> => {
  const known = (socket as Tagged)[tag]
  if (known !== undefined) return known
  const watchers: Array<Watcher> = (socket as Tagged)[tag] = []
  socket.once("close", () => {
    for (const one of watchers.splice(0)) one.clientGone()
  })
  return watchers
}

/**
 * Tells a watcher when the connection of a client closes. Node tells the response that has the socket; one that is pipelined behind
 * it never hears of the end, and would hold its permit for ever.
 */
export const watch = (socket: Net.Socket, watcher: Watcher): void => void listen(socket).push(watcher)

export const unwatch = (socket: Net.Socket, watcher: Watcher): void => {
  const watchers = listen(socket)
  const at = watchers.indexOf(watcher)
  if (at === -1) return
  const last = watchers.pop()!
  if (last !== watcher) watchers[at] = last
}

/** The same of HTTP/2, where each request has a stream of its own. Its end comes after that of an exchange that went well. */
export const watchStream = (stream: Http2Stream, watcher: Watcher): () => void => {
  const gone = () => watcher.clientGone()
  stream.once("aborted", gone).once("close", gone)
  return () => stream.off("aborted", gone).off("close", gone)
}
