import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { codeOf } from "../../packages/gateway/src/internal/Failed.ts"
import { canShare } from "../../packages/gateway/src/internal/workers/addresses.ts"

const fails = (code: string): Effect.Effect<never, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    resume(Effect.fail(Object.assign(new Error(`listen ${code}: it is not to be`), { code })))
  })

describe("several workers", () => {
  it.effect("are refused where threads can't share a port, with what is possible, and the program ends with 1", () =>
    Effect.gen(function*() {
      // What Node says on macOS, and on Linux before 3.9.
      for (const code of ["ENOTSUP", "EINVAL", "ENOPROTOOPT"]) {
        const error = yield* Effect.flip(canShare(2, () => fails(code)))
        assert.strictEqual(
          error.message,
          `--workers 2 is not possible here: this system does not let several threads listen on one port (${code}); `
            + "--workers 1 is"
        )
        assert.strictEqual(codeOf(error), 1)
      }
    }))

  it.effect("are refused for what it is if it was something else that kept it from finding out", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(canShare(2, () => fails("EMFILE")))
      assert.strictEqual(
        error.message,
        "--workers 2: it can't be found out whether several threads can listen on one port: listen EMFILE: it is not to be"
      )
    }))

  it.effect("are possible where they can", () => canShare(2, () => Effect.void))
})
