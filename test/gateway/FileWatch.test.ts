import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { FileWatch } from "../../packages/gateway/src/internal/FileWatch.ts"
import { eventually } from "../harness/eventually.ts"

/** A folder, and a watch that looks all the time and counts. */
const watching = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "file-watch-"))),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
  )
  let changes = 0
  const watch = yield* Effect.acquireRelease(
    Effect.sync(() => new FileWatch(() => changes++, 1)),
    (watch) => Effect.sync(() => watch.close())
  )
  const file = Path.join(folder, "a.yml")
  Fs.writeFileSync(file, "a")
  return {
    file,
    folder,
    watch,
    changes: () => changes,
    becomes: (count: number) => eventually(`${count} changes`, () => changes === count, () => changes),
    /** Long after it was written. */
    later: Fs.statSync(file).ctimeMs + 60_000
  }
})

describe("a watch of files", () => {
  it.live("tells of one that is written, replaced, removed and there again", () =>
    Effect.gen(function*() {
      const { becomes, changes, file, later, watch } = yield* watching
      watch.add(file, later)
      assert.strictEqual(changes(), 0)
      Fs.writeFileSync(file, "other")
      yield* becomes(1)
      Fs.writeFileSync(`${file}.new`, "other")
      Fs.renameSync(`${file}.new`, file)
      yield* becomes(2)
      Fs.rmSync(file)
      yield* becomes(3)
      Fs.writeFileSync(file, "again")
      yield* eventually("another change", () => changes() > 3, changes)
    }))

  it.live("tells of a link that is moved", () =>
    Effect.gen(function*() {
      const { becomes, file, folder, later, watch } = yield* watching
      Fs.writeFileSync(`${file}.2`, "b")
      const link = Path.join(folder, "link")
      Fs.symlinkSync(file, link)
      watch.add(link, later)
      Fs.symlinkSync(`${file}.2`, `${link}.new`)
      Fs.renameSync(`${link}.new`, link)
      yield* becomes(1)
    }))

  it.effect("tells at once of one that was written, or is gone, since it was read", () =>
    Effect.gen(function*() {
      const { changes, file, watch } = yield* watching
      watch.add(file, Fs.statSync(file).ctimeMs)
      assert.strictEqual(changes(), 1)
      watch.add(`${file}.gone`, Infinity)
      assert.strictEqual(changes(), 2)
      watch.add(file, 0)
      assert.strictEqual(changes(), 2, "it is watched already")
    }))
})
