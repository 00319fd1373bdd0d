import { execFile, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { fresh } from "./fresh.ts"

export interface Job {
  readonly port: number
  readonly path: string
  readonly connections: number
  readonly seconds: number
  /** Bytes to POST; without them it is a GET. */
  readonly body?: number | undefined
  /** Paths under so many routes instead of `path`. */
  readonly routes?: number | undefined
}

export interface Loaded {
  readonly requests: number
  readonly bytes: number
  readonly seconds: number
  /** Answers whose status was no success. */
  readonly refused: number
  readonly errors: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

export const hasProgram = (name: string, version: string): boolean => spawnSync(name, [version]).error === undefined

/** What makes the load: wrk costs least, and leaves the machine to what is measured. */
export const generator = hasProgram("wrk", "-v") ? "wrk" : "autocannon"

const script = fileURLToPath(new URL("proxy.wrk.lua", import.meta.url))

export const load = async (job: Job): Promise<Loaded> => {
  if (generator === "autocannon") return fresh(fileURLToPath(new URL("proxy.autocannon.ts", import.meta.url)), job)
  const { body, connections, path, port, routes, seconds } = job
  const { stdout } = await promisify(execFile)(
    "wrk",
    ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s", "-s", script, `http://127.0.0.1:${port}${path}`],
    {
      env: {
        ...process.env,
        BENCH_PATH: path,
        ...body === undefined ? {} : { BENCH_METHOD: "POST", BENCH_BODY: String(body) },
        ...routes === undefined ? {} : { BENCH_ROUTES: String(routes) }
      }
    }
  )
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Loaded
}
