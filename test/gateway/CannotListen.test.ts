import { assert, describe, test } from "vitest"
import { CannotListen } from "../../packages/gateway/src/CannotListen.ts"

const cause = (code: string) => Object.assign(new Error(`listen ${code}`), { code })

describe("CannotListen", () => {
  const rows: ReadonlyArray<readonly [cause: unknown, why: string]> = [
    [cause("EADDRINUSE"), "it is in use by another program (EADDRINUSE)"],
    [cause("EACCES"), "it takes more rights than this user has (EACCES)"],
    [cause("EADDRNOTAVAIL"), "this machine does not have that address (EADDRNOTAVAIL)"],
    [cause("ENOTFOUND"), "listen ENOTFOUND"],
    ["no error at all", "no error at all"]
  ]
  test.for(rows)("%o", ([cause, why]) => {
    assert.strictEqual(new CannotListen({ address: "port 80", cause }).message, `can't listen on port 80: ${why}`)
  })
})
