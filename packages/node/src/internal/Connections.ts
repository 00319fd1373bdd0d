import type * as Net from "node:net"

/** What has to hear of it when a client's connection closes. */
export interface Watcher {
  clientGone(): void
}

// An array: a `Set` makes itself a new table after every few that come and go, each old one with a reference to the next, and the
// garbage collector then keeps what was in any of them.
const watched = new WeakMap<Net.Socket, Array<Watcher>>()

/**
 * Tells a watcher when the connection of a client closes. Node tells the response that has the socket; one that is pipelined behind
 * it never hears of the end, and would hold its permit for ever. One listener serves all requests of a connection.
 */
export const watch = (socket: Net.Socket, watcher: Watcher): void => {
  const watchers = watched.get(socket)
  if (watchers === undefined) begin(socket, [watcher])
  else watchers.push(watcher)
}

const begin = (socket: Net.Socket, watchers: Array<Watcher>): void => {
  watched.set(socket, watchers)
  socket.once("close", () => {
    for (const one of watchers.splice(0)) one.clientGone()
  })
}

/** The watcher need not hear of it any more. */
export const unwatch = (socket: Net.Socket, watcher: Watcher): void => {
  const watchers = watched.get(socket)!
  const at = watchers.indexOf(watcher)
  if (at !== -1) watchers.splice(at, 1)
}
