/**
 * Says how the tests went, in the last line of `.ci/run`, and fails unless every one of them ran and passed.
 *
 *     node .ci/count.ts <vitest's JSON report> <its exit code> <number of other steps that failed>
 */
import * as Fs from "node:fs"

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

const [file, exitCode, steps] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)

let passed = 0
let failed = 0
const fail = (what: string) => {
  say(what)
  failed += 1
}

if (Fs.existsSync(file!)) {
  const { testResults }: Report = JSON.parse(Fs.readFileSync(file!, "utf8"))
  for (const { assertionResults, message, name, status } of testResults) {
    const others = assertionResults.filter((test) => test.status !== "passed")
    passed += assertionResults.length - others.length
    for (const test of others) fail(`${test.status}: ${test.fullName}`)
    // A file that could not be loaded has no tests to count.
    if (status !== "passed" && others.length === 0) fail(`failed: ${name}: ${message}`)
  }
  if (passed === 0) fail("failed: no test passed")
} else {
  fail("failed: the tests left no report")
}
// An error outside of every test, such as an unhandled rejection, is in no test's result.
if (exitCode !== "0" && failed === 0) fail(`failed: the test run ended with code ${exitCode}`)

failed += Number(steps)
say(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
