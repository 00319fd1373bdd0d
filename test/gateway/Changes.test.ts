import { assert, describe, it } from "@effect/vitest"
import type { Plan } from "../../packages/gateway/src/internal/Plan.ts"
import { Changes } from "../../packages/gateway/src/internal/workers/Changes.ts"

type Options = Plan["groups"][number]["options"]

const plan = (options: Options): Plan =>
  ({ groups: [{ name: "a", options, path: ["groups", "a"] }] }) as unknown as Plan
const sized = (maxConcurrent: number, more: Omit<Options, "pool"> = {}) => plan({ pool: { maxConcurrent }, ...more })

const resized = { group: "a", change: { pool: { max_concurrent: 7 } } } as const
const forced = (to: "open" | "auto") => ({ group: "a", change: { circuit: { key: "k", to } } }) as const

const both = () => {
  const changes = new Changes()
  changes.add(resized)
  changes.add(forced("open"))
  return changes
}

describe("Changes", () => {
  it("are told as they stand last", () => {
    const changes = both()
    changes.add({ group: "a", change: { pool: { max_queued: 9 } } })
    assert.deepStrictEqual(changes.all, [
      { group: "a", change: { pool: { max_concurrent: 7, max_queued: 9 } } },
      forced("open")
    ])
    changes.add(forced("auto"))
    assert.deepStrictEqual(changes.all, [{ group: "a", change: { pool: { max_concurrent: 7, max_queued: 9 } } }])
  })

  it("stay through a reload that says nothing of the group", () => {
    const changes = both()
    changes.reloaded(sized(3), sized(3))
    assert.deepStrictEqual(changes.all, [resized, forced("open")])
  })

  it("another size takes the place of that of operators, and of nothing else", () => {
    const changes = both()
    changes.reloaded(sized(3), sized(4))
    assert.deepStrictEqual(changes.all, [{ group: "a", change: { pool: {} } }, forced("open")])
  })

  it("are over with the group", () => {
    for (
      const next of [
        sized(3, { circuit: {} }),
        { groups: [] } as unknown as Plan
      ]
    ) {
      const changes = both()
      changes.reloaded(sized(3), next)
      assert.deepStrictEqual(changes.all, [])
    }
    const changes = both()
    changes.reloaded(sized(3, { adaptiveLimit: {} }), sized(4, { adaptiveLimit: {} }))
    assert.deepStrictEqual(changes.all, [])
  })
})
