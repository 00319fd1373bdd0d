import { Effect } from "effect"
import * as Tls from "node:tls"
import { Wire } from "./Wire.ts"

/** Connects to a port of this machine by TLS, to `a.test` unless it is told another name: a client's end, or why there is none. */
export const dialing =
  ({ cert: ca }: { readonly cert: string }) => (port: number, options: Tls.ConnectionOptions = {}) =>
    Effect.acquireRelease(
      Effect.callback<Wire & { readonly socket: Tls.TLSSocket }, Error>((resume) => {
        const socket = Tls.connect({ port, host: "127.0.0.1", ca, servername: "a.test", ...options })
        const wire = new Wire(socket) as Wire & { readonly socket: Tls.TLSSocket }
        socket.once("secureConnect", () => resume(Effect.succeed(wire)))
        socket.once("error", (error) => resume(Effect.fail(error)))
      }),
      (wire) => Effect.sync(() => wire.close())
    )
