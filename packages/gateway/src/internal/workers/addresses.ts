import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { CannotListen } from "../../CannotListen.ts"
import type { Ports } from "../Listening.ts"
import { named } from "../overlap.ts"
import type { Plan } from "../Plan.ts"

/** This system can't have several workers. */
export class NoWorkers extends Data.TaggedError("NoWorkers")<{ readonly message: string }> {}

/** Listens, and stops again. */
const listen = (options: Net.ListenOptions): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(options, () => server.close(() => resume(Effect.void)))
  })

// What systems say that can't: libuv where it knows of none, Linux before 3.9.
const unsupported = new Set(["ENOTSUP", "EINVAL", "ENOPROTOOPT"])

/** Finds out whether several threads can listen on one address. */
export const canShare = (workers: number, tryTo: typeof listen = listen): Effect.Effect<void, NoWorkers> =>
  Effect.mapError(tryTo({ host: "127.0.0.1", port: 0, reusePort: true }), ({ code, message }) =>
    new NoWorkers({
      message: unsupported.has(code ?? "")
        ? `--workers ${workers} is not possible here: this system does not let several threads listen on one port `
          + `(${code}); --workers 1 is`
        : `--workers ${workers}: it can't be found out whether several threads can listen on one port: ${message}`
    }))

/**
 * Finds out whether the addresses that a config adds are free. Workers can't: whoever shares an address is let in beside others that
 * share it, another program of this user's among them.
 */
export const areFree = ({ listeners }: Plan, ports: Ports): Effect.Effect<void, CannotListen> =>
  Effect.forEach(listeners, (plan) => {
    const { key, options: { host, port }, role } = plan
    if (role !== "gateway" || port === 0 || Object.hasOwn(ports, key)) return Effect.void
    return Effect.mapError(
      listen(host === undefined ? { port } : { host, port }),
      (cause) => new CannotListen({ address: named(plan.options), cause })
    )
  }, { discard: true })
