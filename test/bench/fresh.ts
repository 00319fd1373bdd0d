import { execFile } from "node:child_process"
import { writeSync } from "node:fs"
import { promisify } from "node:util"

/**
 * Runs a file in a process of its own, so that no measure meets the garbage, or the optimised code, of another. Its last line is
 * JSON: the answer.
 */
export const fresh = async <A>(file: string, args: unknown, flags: ReadonlyArray<string> = []): Promise<A> => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    ...flags,
    file,
    JSON.stringify(args)
  ], {
    timeout: 300_000,
    maxBuffer: 16 * 1024 * 1024
  })
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as A
}

/** What `fresh` handed over. */
export const argument = <A>(): A => JSON.parse(process.argv[2]!) as A

/** The last word: whatever timers there are, the process is over. */
export const answer = (value: unknown): never => {
  writeSync(1, `${JSON.stringify(value)}\n`)
  process.exit()
}

/** Every case in every round, so that whatever else the machine does meets all of them alike. */
export const interleaved = async <Case, A>(
  rounds: number,
  cases: ReadonlyArray<Case>,
  measure: (one: Case) => Promise<A>
): Promise<ReadonlyArray<readonly [Case, ReadonlyArray<A>]>> => {
  const results = cases.map((one) => [one, [] as Array<A>] as const)
  for (let round = 0; round < rounds; round++) {
    for (const [one, found] of round % 2 === 0 ? results : results.toReversed()) {
      if (process.stderr.isTTY) process.stderr.write(`\rround ${round + 1} of ${rounds} `)
      found.push(await measure(one))
    }
  }
  return results
}
