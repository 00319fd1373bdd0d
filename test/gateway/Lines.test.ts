import { spawn } from "node:child_process"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const script = fileURLToPath(new URL("../harness/linesProcess.ts", import.meta.url))

describe("lines of a log, when the process ends", () => {
  it("are whole, and all there, for one who reads at last: what was half written goes first", async () => {
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit", "ipc"] })
    await once(child, "message")
    const lines = (await text(child.stdout!)).split("\n").slice(0, -1)
    assert.deepStrictEqual(
      lines.filter((line, i) => line !== `${i} ${"x".repeat(1000)}`).map((line) => line.slice(0, 20)),
      []
    )
    assert.strictEqual(lines.length, 2100)
  })

  it("are lost if nobody reads, and it ends all the same", async () => {
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit", "ipc"] })
    child.stdout!.pause()
    assert.deepStrictEqual((await once(child, "exit"))[0], 0)
    child.stdout!.destroy()
  })
})
