import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Something that would stay open for as long as its peers like. */
export interface Cuttable {
  cut(): void
}

/** The tunnels of a layer. They get a while to end by themselves when it closes. */
export class Tunnels {
  private readonly open = new Set<Cuttable>()
  private empty: (() => void) | undefined = undefined

  add(tunnel: Cuttable): void {
    this.open.add(tunnel)
  }

  delete(tunnel: Cuttable): void {
    this.open.delete(tunnel)
    if (this.open.size === 0) this.empty?.()
  }

  close(drain: Duration.Input): Effect.Effect<void> {
    const ended = Effect.callback<void>((resume) => {
      if (this.open.size === 0) resume(Effect.void)
      else this.empty = () => resume(Effect.void)
    })
    return Effect.andThen(
      Effect.timeoutOption(ended, drain),
      Effect.sync(() => {
        for (const tunnel of this.open) tunnel.cut()
      })
    )
  }
}
