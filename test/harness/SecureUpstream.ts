import { Effect } from "effect"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { Wire } from "./Wire.ts"

/** A server over TLS that does byte for byte what its script says. */
export interface SecureUpstream {
  readonly port: number
  readonly url: string
  /** Every connection that there ever was. */
  readonly wires: ReadonlyArray<Wire>
  /** What TLS is spoken over, where a reset is possible. */
  readonly under: ReadonlyArray<Net.Socket>
}

/** One that is gone with the scope. */
export const make = (
  options: Tls.TlsOptions,
  script: (wire: Wire, socket: Tls.TLSSocket) => Effect.Effect<unknown, unknown>
) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<SecureUpstream & { readonly server: Tls.Server }>((resume) => {
        const wires: Array<Wire> = []
        const under: Array<Net.Socket> = []
        const server = Tls.createServer(options, (socket) => {
          socket.allowHalfOpen = true
          const wire = new Wire(socket)
          wires.push(wire)
          Effect.runFork(script(wire, socket))
        })
        server.on("connection", (socket: Net.Socket) => under.push(socket))
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ port, url: `https://localhost:${port}`, wires, under, server }))
        })
      }),
      ({ server, under }) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of under) socket.destroy()
        })
    ),
    (upstream): SecureUpstream => upstream
  )
