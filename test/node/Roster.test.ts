import { assert, describe, it } from "@effect/vitest"
import { Roster } from "../../packages/node/src/internal/Roster.ts"

class Guest {
  place = 0
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

const namesOf = (roster: Roster<Guest>): string => Array.from(roster, ({ name }) => name).toSorted().join("")

describe("a roster", () => {
  it("has those that were added and not let go, in whichever order they leave", () => {
    const roster = new Roster<Guest>()
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => new Guest(name)) as [Guest, Guest, Guest, Guest]
    for (const guest of [a, b, c, d]) roster.add(guest)
    roster.delete(b)
    assert.strictEqual(namesOf(roster), "acd")
    roster.delete(d)
    roster.delete(a)
    assert.strictEqual(namesOf(roster), "c")
    roster.add(b)
    roster.delete(c)
    assert.strictEqual(namesOf(roster), "b")
    assert.deepStrictEqual([a, b, c, d].map((guest) => roster.has(guest)), [false, true, false, false])
    assert.strictEqual(roster.size, 1)
  })

  it("lets nobody else go for one that has left, or never came", () => {
    const roster = new Roster<Guest>()
    const [a, b] = [new Guest("a"), new Guest("b")]
    roster.add(a)
    roster.delete(b)
    roster.delete(a)
    roster.add(b)
    roster.delete(a)
    assert.strictEqual(namesOf(roster), "b")
  })

  it("is gone through as it was at the beginning, whoever leaves meanwhile", () => {
    const roster = new Roster<Guest>()
    const guests = ["a", "b", "c"].map((name) => new Guest(name))
    for (const guest of guests) roster.add(guest)
    const seen: Array<string> = []
    for (const { name } of roster) {
      seen.push(name)
      for (const guest of guests) roster.delete(guest)
    }
    assert.deepStrictEqual(seen, ["a", "b", "c"])
  })
})
