import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

/** Tells systemd how the program stands, if it is systemd that has started it and wants to know (`Type=notify`). */
export const notify = (state: "--ready" | "--stopping"): Effect.Effect<void> =>
  Effect.sync(() => {
    if (process.env["NOTIFY_SOCKET"] === undefined) return
    // Where it is not installed there is nobody to tell.
    spawn("systemd-notify", [state], { stdio: "ignore" }).once("error", () => {}).unref()
  })
