import { assert, describe, it } from "@effect/vitest"
import { configIn, startedWith } from "../../packages/gateway/src/internal/startedWith.ts"

describe("what a process was started with", () => {
  const lines: ReadonlyArray<readonly [args: ReadonlyArray<string>, config: string | undefined]> = [
    [["node", "blackgate", "start"], undefined],
    [["node", "blackgate", "-c", "a.yml", "start"], "a.yml"],
    [["node", "blackgate", "start", "--config", "a b.yml", "--watch"], "a b.yml"],
    [["node", "blackgate", "--config=a=b.yml", "start"], "a=b.yml"],
    [["node", "blackgate", "-c=a.yml", "start"], "a.yml"],
    [["node", "blackgate", "--config-is-none", "start"], undefined]
  ]
  for (const [args, config] of lines) {
    it(`${args.slice(2).join(" ")}: the config is ${config}`, () => assert.strictEqual(configIn(args), config))
  }

  it("is where this one was started; of one that is not there it is not known", () => {
    assert.strictEqual(startedWith(process.pid)?.cwd, process.platform === "linux" ? process.cwd() : undefined)
    assert.isUndefined(startedWith(2 ** 31 - 2))
  })
})
