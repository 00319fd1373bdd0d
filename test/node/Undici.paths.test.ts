import { Proxy, Rewrite } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const patterns = { site: "/*", api: "/api/*", admin: "/api/admin/*", user: "/users/:id" } as const

/** The gateway that `docs/paths.md` describes. */
const gateway = (seen: Array<HttpMessage>) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
    return yield* Gateway.withRoutes((group) => {
      const route = (name: keyof typeof patterns) =>
        Proxy.route(patterns[name], {
          group,
          upstream: `${upstream.url}/base`,
          rewrite: Rewrite.setHeader("X-Route", name)
        })
      return Layer.mergeAll(route("site"), route("api"), route("admin"), route("user"))
    })
  })

interface Row {
  readonly received: string
  readonly route: string | undefined
  /** What the upstream got, or the status instead. */
  readonly forwarded: string
}

const page = Fs.readFileSync(Path.resolve(import.meta.dirname, "../../docs/paths.md"), "utf8")

/** The rows of the page's tables, by the heading that they stand under. */
const tables = new Map<string, Array<Row>>()
let heading = ""
for (const line of page.split("\n")) {
  if (line.startsWith("### ")) heading = line.slice(4)
  const cells = /^\| `(.+?)` +\| (?:`(\w+)`)? *\| (?:`(.+?)`|(\d{3})) *\|/.exec(line)
  if (cells === null) continue
  const rows = tables.get(heading) ?? []
  rows.push({ received: cells[1]!, route: cells[2], forwarded: cells[3] ?? cells[4]! })
  tables.set(heading, rows)
}

describe("13, 14, 15. docs/paths.md is true", { timeout: 30_000 }, () => {
  it("every line of its tables was read", () => {
    const lines = page.slice(page.indexOf("### ")).split("\n").filter((line) => line.startsWith("| `"))
    assert.strictEqual([...tables.values()].flat().length, lines.length)
    assert.isAbove(lines.length, 60)
  })

  for (const [heading, rows] of tables) {
    it.live(heading, () =>
      Effect.gen(function*() {
        const seen: Array<HttpMessage> = []
        const { connect } = yield* gateway(seen)
        const found: Array<Row> = []
        for (const { received } of rows) {
          seen.length = 0
          const client = yield* connect
          client.send(`GET ${received} HTTP/1.1\r\nHost: gateway.test\r\n\r\n`)
          const got = yield* client.message()
          client.close()
          const [request] = seen
          found.push({
            received,
            route: request && values(request, "x-route")[0],
            forwarded: request === undefined
              ? String(status(got))
              : request.startLine.slice("GET ".length, -" HTTP/1.1".length)
          })
        }
        assert.deepStrictEqual(found, rows)
      }))
  }
})
