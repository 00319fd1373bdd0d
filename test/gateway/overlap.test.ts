import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import { overlap } from "../../packages/gateway/src/internal/overlap.ts"
import { planned, refused } from "./started.ts"

const at = (host: string | undefined, port = 9654) => ({ host, port })

describe("overlap", () => {
  for (
    const [a, b] of [
      [undefined, "127.0.0.1"],
      [undefined, "::1"],
      [undefined, undefined],
      ["::", "10.0.0.1"],
      ["0.0.0.0", "127.0.0.1"],
      ["0.0.0.0", "::"],
      ["0", "127.0.0.1"],
      ["0.0.0.0", "localhost"],
      ["127.0.0.1", "127.1"],
      ["::1", "0:0:0:0:0:0:0:1"],
      ["::ffff:127.0.0.1", "127.0.0.1"],
      ["localhost", "LOCALHOST"]
    ] as const
  ) {
    it(`${a} and ${b}: one port can't be listened on by both`, () => {
      assert.isTrue(overlap(at(a), at(b)))
      assert.isTrue(overlap(at(b), at(a)))
      assert.isFalse(overlap(at(a), at(b, 9655)))
      assert.isFalse(overlap(at(a, 0), at(b, 0)))
    })
  }
  for (
    const [a, b] of [
      ["127.0.0.1", "127.0.0.2"],
      ["127.0.0.1", "::1"],
      ["0.0.0.0", "::1"],
      // What a name stands for is not asked.
      ["localhost", "127.0.0.1"]
    ] as const
  ) {
    it(`${a} and ${b} are two addresses`, () => {
      assert.isFalse(overlap(at(a), at(b)))
      assert.isFalse(overlap(at(b), at(a)))
    })
  }

  const listen = (host: string | undefined, port: number) =>
    Effect.acquireRelease(
      Effect.callback<Net.Server | string>((resume) => {
        const server = Net.createServer()
        server.once("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code!)))
        server.listen({ host, port }, () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => typeof server === "string" ? undefined : server.close())
    )

  for (
    const [a, b] of [
      [undefined, "127.0.0.1"],
      ["127.0.0.1", undefined],
      ["0.0.0.0", "127.0.0.1"],
      ["127.0.0.1", "0.0.0.0"],
      ["127.0.0.1", "127.0.0.2"]
    ] as const
  ) {
    it.live(`${a}, then ${b}: as the operating system has it`, () =>
      Effect.scoped(Effect.gen(function*() {
        const first = yield* listen(a, 0)
        const { port } = (first as Net.Server).address() as Net.AddressInfo
        const second = yield* listen(b, port)
        assert.strictEqual(second === "EADDRINUSE", overlap(at(a, port), at(b, port)))
      })))
  }
})

describe("listeners of one address are refused, at the second", () => {
  for (
    const [text, message] of [
      [
        "port: 9655\nadmin: {}\n",
        "2:8: admin: expected an address of its own: port listens on port 9655, which takes in 127.0.0.1:9655"
      ],
      [
        "port: 1234\nadmin:\n  port: 1234\n",
        "3:9: admin.port: expected an address of its own: port listens on port 1234, which takes in 127.0.0.1:1234"
      ],
      [
        "admin: { port: 9654 }\n",
        "1:16: admin.port: expected an address of its own: port listens on port 9654, which takes in 127.0.0.1:9654"
      ],
      [
        "admin: {}\nport: 9655\n",
        "2:7: port: expected an address of its own: admin listens on 127.0.0.1:9655, which port 9655 takes in"
      ],
      [
        "listen:\n  - { host: 127.0.0.1, port: 9655 }\nadmin: {}\n",
        "3:8: admin: expected an address of its own: listen[0] listens on 127.0.0.1:9655, too"
      ],
      [
        "listen:\n  - { port: 80 }\n  - { host: 10.0.0.1, port: 80 }\n",
        "3:29: listen[1].port: expected an address of its own: listen[0] listens on port 80, which takes in 10.0.0.1:80"
      ],
      [
        "listen:\n  - { host: 10.0.0.1 }\n  - { host: 0.0.0.0 }\n",
        "3:5: listen[1]: expected an address of its own: listen[0] listens on 10.0.0.1:9654, which 0.0.0.0:9654 takes in"
      ],
      [
        "listen: { port: 9655 }\nadmin: { host: \"::1\" }\n",
        "2:8: admin: expected an address of its own: listen listens on port 9655, which takes in ::1:9655"
      ]
    ] as const
  ) {
    it.effect(
      JSON.stringify(text),
      () => Effect.map(refused(`${text}routes: []\n`), (said) => assert.strictEqual(said, `blackgate.yml:${message}`))
    )
  }

  for (
    const text of [
      "admin: {}\n",
      "port: 0\nadmin: { port: 0 }\n",
      "listen: [{ host: 127.0.0.1, port: 80 }, { host: 127.0.0.2, port: 80 }]\nadmin: { port: 81 }\n",
      "listen: [{ port: 0 }, { port: 0 }]\n"
    ]
  ) {
    it.effect(`${JSON.stringify(text)} is fine`, () =>
      Effect.map(planned(`${text}routes: []\n`), ({ listeners }) => assert.isAbove(listeners.length, 0)))
  }
})
