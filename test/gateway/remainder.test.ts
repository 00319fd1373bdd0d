import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { formatPath } from "../../packages/gateway/src/ConfigError.ts"
import { loadPlan } from "../../packages/gateway/src/internal/configFile.ts"

const read = (text: string) => (path: string) => {
  if (path.endsWith("blackgate.yml")) return Buffer.from(text)
  throw new Error("ENOENT")
}

/** Where something is wrong, in the order in which it is said. */
const wrongIn = (text: string) =>
  Effect.map(
    Effect.flip(loadPlan("blackgate.yml", read(text))),
    ({ problems }) => problems.map(({ path, place }) => `${place?.line ?? "?"} ${formatPath(path)}`)
  )

describe("all errors at once", () => {
  it.effect("what a key means is checked beside keys that nobody knows, in the order of the file", () =>
    Effect.gen(function*() {
      const text = `prot: 1
groups:
  g: { pool: { max_concurrent: 3 }, adaptive_limit: { algorithm: aimd } }
  h: { pool: { max_concurrent: 3 }, circuit: { slow_call_rate: 0.5 } }
upstreams: { a: { url: http://x } }
routes:
  - { upstream: nope, match: { path: '/a/*' }, timeout: 5 }
  - { upstream: a, group: nog, fallback: { upstream: alsonope, status: 503, file: no.html }, match: { path: { regex: '(' } } }
proxies:
  - { name: p, upstream_url: http://x, request_path_regex: '/(?=a)' }
listen: [{ port: 1, tls: { certificates: [{ cert: no.pem, key: no.key }] } }, { port: 1 }]
`
      assert.deepStrictEqual(yield* wrongIn(text), [
        "1 prot",
        "3 groups.g.adaptive_limit.target",
        "4 groups.h.circuit.slower_than",
        "7 routes[0].upstream",
        "7 routes[0].match.path",
        "7 routes[0].timeout",
        "8 routes[1].group",
        "8 routes[1].fallback.upstream",
        "8 routes[1].fallback.file",
        "8 routes[1].match.path.regex",
        "10 proxies[0].request_path_regex",
        "11 listen[0].tls.certificates[0].cert",
        "11 listen[0].tls.certificates[0].key",
        "11 listen[1].port"
      ])
    }))

  it.effect("a variable that is not set hides nothing else", () =>
    Effect.gen(function*() {
      const text = "port: ${NO_SUCH_PORT}\nroutes:\n  - { upstream: nope }\n  - { upstream: '${NOT_SET}' }\n"
      assert.deepStrictEqual(yield* wrongIn(text), ["1 port", "3 routes[0].upstream", "4 routes[1].upstream"])
    }))

  it.effect("a key that is there twice hides nothing else, and is said once", () =>
    Effect.gen(function*() {
      const text = "port: 1\nroutes:\n  - { upstream: nope }\nport: 2\n"
      assert.deepStrictEqual(yield* wrongIn(text), ["3 routes[0].upstream", "4 port"])
    }))

  it.effect("nothing is said that is only wrong because something else is", () =>
    Effect.gen(function*() {
      // Names of what can't be read; a route without its upstream; a circuit of a group that has a wrong one; a token.
      for (
        const [text, ...wrong] of [
          ["grups: { g: { pool: { max_concurrent: 1 } } }\nroutes: [{ upstream: http://a, group: g }]\n", "1 grups"],
          ["groups: 3\nroutes: [{ upstream: http://a, group: g }]\n", "1 groups"],
          ["groups: { g: { pol: 3 } }\nroutes: [{ upstream: http://a, group: g }]\n", "1 groups.g.pol"],
          [
            "groups: { g: { pool: { max_concurrent: 1 }, circuit: 3 } }\nroutes: [{ upstream: http://a, group: g, circuit: c }]\n",
            "1 groups.g.circuit"
          ],
          ["upstreams: { a: { url: 3 } }\nroutes: [{ upstream: a }]\n", "1 upstreams.a.url"],
          ["upstreams: { a: { url: '${NOT_SET}' } }\nroutes: [{ upstream: a }]\n", "1 upstreams.a.url"],
          ["upstreams: ${NOT_SET}\nroutes: [{ upstream: a }]\n", "1 upstreams"],
          ["routes: [{ upstrem: http://a }]\n", "1 routes[0].upstrem"],
          ["routes: [{ upstream: [3] }]\n", "1 routes[0].upstream"],
          ["routes: [3, { name: a, upstream: http://a }]\n", "1 routes[0]"],
          ["admin: { host: 0.0.0.0, token: [3] }\n", "1 admin.token"],
          ["listen: [{ port: x }, { port: y }]\n", "1 listen[0].port", "1 listen[1].port"],
          ["proxies: [{ name: a }]\n", "1 proxies[0].upstream_url"],
          ["routes: 3\nproxies: x\n", "1 routes", "2 proxies"]
        ] as const
      ) assert.deepStrictEqual(yield* wrongIn(text), wrong, text)
    }))

  it.effect("a file that is wrong in thousands of places is told of in a moment", () =>
    Effect.gen(function*() {
      const routes = Array.from({ length: 5000 }, (_, i) => `  - { upstream: nope, timeout: ${i} }\n`).join("")
      const from = performance.now()
      assert.lengthOf(yield* wrongIn(`routes:\n${routes}`), 5000)
      assert.isBelow(performance.now() - from, 5000)
    }), 60_000)
})
