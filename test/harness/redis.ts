import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as Net from "node:net"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    /** A `redis-server` that the tests of a run share, or `undefined` where the program is missing. */
    readonly redisUrl: string | undefined
  }
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = Net.createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })

// The server dies with this process, however that ends: the pipe that it holds is closed then.
const dieTogether = "exec 3<&0; (cat <&3; kill -9 $$) >/dev/null 2>&1 & exec redis-server \"$@\" 3<&- </dev/null"

/** A `redis-server` on loopback that keeps nothing on disk. It can be stopped, paused and started again, on the same port. */
export class RedisServer {
  private readonly port: number
  private child: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort())
    await server.start()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const options = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    const child = this.child = spawn("sh", ["-c", dieTogether, "sh", ...options], {
      stdio: ["pipe", "pipe", "ignore"]
    })
    await new Promise<void>((resolve, reject) => {
      let said = ""
      child.once("error", reject)
      child.once("exit", (code) => reject(new Error(`redis-server exited with ${code}: ${said}`)))
      child.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes("Ready to accept connections")) resolve()
      })
    })
  }

  /** Ends it at once, and with it all that it knows. */
  async kill(): Promise<void> {
    const { child } = this
    this.child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    child.stdin?.end()
    await gone
  }

  /** It accepts connections and takes what is sent, and answers nothing. */
  pause(): void {
    this.child?.kill("SIGSTOP")
  }

  resume(): void {
    this.child?.kill("SIGCONT")
  }
}

/** A way to a server on which every answer takes its time. */
export class SlowWay {
  /** In milliseconds, from now on. */
  delay = 0
  private readonly server: Net.Server
  private readonly ends = new Set<Net.Socket>()

  private constructor(to: number) {
    this.server = Net.createServer((near) => {
      const far = Net.connect(to, "127.0.0.1")
      for (const end of [near, far]) {
        this.ends.add(end)
        end.setNoDelay(true)
        end.on("error", () => {}).once("close", () => {
          this.ends.delete(end)
          near.destroy()
          far.destroy()
        })
      }
      near.on("data", (chunk) => far.write(chunk))
      // One timer after the other: nothing is overtaken, unless the delay is made shorter.
      far.on("data", (chunk) => {
        if (this.delay === 0) near.write(chunk)
        else setTimeout(() => near.writable && near.write(chunk), this.delay)
      })
    })
  }

  static async to(url: string): Promise<SlowWay> {
    const way = new SlowWay(Number(new URL(url).port))
    await new Promise<void>((resolve) => way.server.listen(0, "127.0.0.1", resolve))
    return way
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as Net.AddressInfo).port}`
  }

  close(): void {
    this.server.close()
    for (const end of this.ends) end.destroy()
  }
}

/** Starts the server that the tests of a run share, `inject("redisUrl")`; `REDIS_URL` names another one to use. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const given = process.env["REDIS_URL"]
  if (given !== undefined) return project.provide("redisUrl", given)
  if (spawnSync("redis-server", ["--version"]).error !== undefined) return project.provide("redisUrl", undefined)
  const server = await RedisServer.start()
  project.provide("redisUrl", server.url)
  return () => server.kill()
}
