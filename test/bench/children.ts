import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/** Starts a file of this folder in a process of its own. */
export const start = (file: string, args: ReadonlyArray<string> = []): ChildProcess =>
  fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    env: { ...process.env, NODE_ENV: "production" },
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })

/** What it says next. */
export const heard = async <A>(child: ChildProcess): Promise<A> => {
  const message = once(child, "message") as Promise<[A]>
  const end = once(child, "exit").then(([code]) => {
    throw new Error(`${child.spawnargs.slice(1).join(" ")} ended with ${code}`)
  })
  return (await Promise.race([message, end]))[0]
}

export const asked = <A>(child: ChildProcess, message: object): Promise<A> => {
  child.send(message)
  return heard(child)
}
