import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

/** Tells systemd how the program stands, if it is systemd that has started it and wants to know (`Type=notify`). */
export const notify = (state: "READY=1" | "STOPPING=1"): Effect.Effect<void> =>
  Effect.sync(() => {
    if (process.env["NOTIFY_SOCKET"] === undefined) return
    // As a variable: `--stopping` is known from systemd 253 on, which is later than Debian 12.
    // Where it is not installed there is nobody to tell.
    spawn("systemd-notify", [state], { stdio: "ignore" }).once("error", () => {}).unref()
  })
