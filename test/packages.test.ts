import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, test } from "vitest"
import { foreignImports, specifiers } from "./harness/imports.ts"

const packages = Path.resolve(import.meta.dirname, "../packages")

const manifest = (name: string) =>
  JSON.parse(Fs.readFileSync(Path.join(packages, name, "package.json"), "utf8")) as {
    readonly [field in "dependencies" | "optionalDependencies" | "peerDependencies"]?: Record<string, string>
  }

// The modules of Effect that know of a world outside the process. The core does without them.
const outside = /^effect\/(?:cli|cluster|devtools|graphql|http|http-api|net|process|rpc|socket|sql|workers)(?:\/|$)/
const effect = /^effect(?:\/|$)/
const core = /^@blackgate\/core(?:\/|$)/
const http = /^@blackgate\/http(?:\/|$)/
const node = /^@blackgate\/node(?:\/|$)/
const onNode = [/^node:/, /^@effect\/platform-node(?:\/|$)/, /^undici$/]
const ofConfig = [/^re2js$/, /^yaml$/]

// Imports point one way: core <- http <- node <- gateway.
const allowed: Record<string, (specifier: string) => boolean> = {
  core: (specifier) => effect.test(specifier) && !outside.test(specifier),
  http: (specifier) => [effect, core].some((known) => known.test(specifier)),
  node: (specifier) => [effect, core, http, ...onNode].some((known) => known.test(specifier)),
  gateway: (specifier) => [effect, core, http, node, ...onNode, ...ofConfig].some((known) => known.test(specifier))
}

test("@blackgate/core depends on effect alone", () => {
  const { dependencies, optionalDependencies, peerDependencies } = manifest("core")
  assert.deepStrictEqual(Object.keys({ ...dependencies, ...optionalDependencies }), [])
  assert.deepStrictEqual(Object.keys(peerDependencies ?? {}), ["effect"])
})

describe.for(Object.keys(allowed))("packages/%s", (name) => {
  // Whose module it is that the program imports is for its user to say.
  const imports = foreignImports(Path.join(packages, name)).filter(([file, specifier]) =>
    !(name === "gateway" && file === "internal/ModuleImport.ts" && specifier === "<computed>")
  )

  test("imports only what its place in the stack allows", () => {
    assert.isNotEmpty(imports, "no imports found: is the folder right?")
    assert.deepStrictEqual(imports.filter(([, specifier]) => !allowed[name]!(specifier)), [])
  })

  test("declares every package it imports", () => {
    const { dependencies, peerDependencies } = manifest(name)
    const declared = Object.keys({ ...dependencies, ...peerDependencies })
    const undeclared = imports.filter(([, specifier]) =>
      !specifier.startsWith("node:")
      && !declared.some((dependency) => specifier === dependency || specifier.startsWith(`${dependency}/`))
    )
    assert.deepStrictEqual(undeclared, [])
  })
})

test("every package has a place in the stack", () => {
  assert.deepStrictEqual(Fs.readdirSync(packages).toSorted(), Object.keys(allowed).toSorted())
})

test("an import is seen however it is written, and not where it is only talked about", () => {
  const source = `
    /** import { a } from "in-a-comment" */
    import { b } from "value"
    import type { C } from "type"
    import "side-effect"
    export * from "./re-export.ts"
    export { d } from "named-re-export"
    const text = "import { e } from 'in-a-string'"
    const later = () => import("dynamic")
    type F = import("type-query").F
  `
  assert.deepStrictEqual(specifiers(source), [
    "./re-export.ts",
    "dynamic",
    "named-re-export",
    "side-effect",
    "type",
    "type-query",
    "value"
  ])
})

// But for what measures the machine: memory, and how long the millionth call takes.
test("34. the tests of the core keep to the TestClock: none is live, and none asks or waits for the machine's clock", () => {
  const folder = Path.join(import.meta.dirname, "core")
  const files = Fs.readdirSync(folder).filter((name) => name.endsWith(".ts"))
  assert.isAbove(files.length, 20)
  const machine = /\bit\.live\b|\bsetTimeout\b|\bsetInterval\b|\bDate\.now\b|\bwithLive\b|\bnode:timers\b/
  const found = files.filter((name) => machine.test(Fs.readFileSync(Path.join(folder, name), "utf8")))
  assert.deepStrictEqual(found, [])
})
