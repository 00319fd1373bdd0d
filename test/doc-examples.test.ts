import { Equal } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { assert, test } from "vitest"
import * as DocExamples from "./harness/docExamples.ts"

// Every `ts` fence of the doc comments and of the Markdown pages must type-check, and those marked `import.meta.vitest`
// must run, with `expression // => value` as an assertion. A fence marked `fragment` is left alone.
const root = Path.resolve(import.meta.dirname, "..")
const out = Path.join(root, "node_modules/.cache/doc-examples")
const examples = DocExamples.find(root)

Fs.rmSync(out, { recursive: true, force: true })

// The code keeps the line numbers it has in the documentation, so that messages point there.
const write = (folder: string, example: DocExamples.DocExample, prelude: string, code: string) => {
  const target = Path.join(out, folder, `${example.file.replaceAll(/[^\w.]/g, "_")}_${example.line}.ts`)
  Fs.mkdirSync(Path.dirname(target), { recursive: true })
  Fs.writeFileSync(target, prelude + "\n".repeat(example.line) + code + "\n")
  return target
}

const assertEqual = async (at: string, actual: () => Promise<unknown>, expected: () => Promise<unknown>) => {
  const [left, right] = [await actual(), await expected()]
  if (!Equal.equals(left, right)) assert.deepStrictEqual(left, right, at)
}
Object.assign(globalThis, { $assertDocExample: assertEqual })

for (const example of examples.filter(({ runs }) => runs)) {
  const at = `${example.file}:${example.line}`
  test(`${at} runs`, async () => {
    const target = write("run", example, "const $assert = globalThis.$assertDocExample", DocExamples.toProgram(example))
    try {
      await import(/* @vite-ignore */ pathToFileURL(target).href)
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new Error(message.startsWith(example.file) ? message : `${at}: ${message}`, { cause })
    }
  })
}

test("every example type-checks", { timeout: 120_000 }, () => {
  const files = new Map(examples.map((example) => [write("types", example, "", example.code), example]))
  if (files.size === 0) return
  const config = Path.join(out, "tsconfig.json")
  Fs.writeFileSync(
    config,
    JSON.stringify({
      extends: Path.join(root, "tsconfig.base.json"),
      files: [...files.keys()],
      compilerOptions: {
        composite: false,
        incremental: false,
        declarationMap: false,
        noEmit: true,
        rootDir: root,
        noUnusedLocals: false,
        noUnusedParameters: false,
        types: ["node"]
      }
    })
  )
  const tsc = spawnSync(Path.join(root, "node_modules/.bin/tsc"), ["-p", config, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8"
  })
  const output = tsc.stdout + tsc.stderr
  let said = output
  for (const [target, { file }] of files) said = said.replaceAll(Path.relative(root, target), file)
  // What is wrong in the packages themselves is for `pnpm check` to say.
  const wrong = said.split("\n").filter((_, index) => output.split("\n")[index]!.includes("doc-examples/types/"))
  assert.deepStrictEqual(wrong, [])
  assert.isTrue(tsc.status === 0 || output.includes("error TS"), output)
})
