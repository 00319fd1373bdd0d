import { start } from "./children.ts"
import { startProgram } from "./program.ts"
import { hasProgram } from "./proxy.load.ts"
import { startNginx } from "./proxy.nginx.ts"
import { listening, type Running } from "./running.ts"

export const startUpstream = (): Promise<Running> => listening(start("proxy.upstream.ts"))

type Start = (upstream: string) => Promise<Running>

const node = (file: string, ...args: ReadonlyArray<string>): Start => (upstream) =>
  listening(start(file, [upstream, ...args]))

const ours = (how: string): Start => node("proxy.ours.ts", how)
const peer = (name: string): Start => node("proxy.peers.ts", name)

/** Ours from a file, with routes as `proxy.wrk.lua` asks for them. */
const program = (routes: number): Start => (upstream) =>
  startProgram(`
listen: { host: 127.0.0.1, port: 0 }
limits: { max_requests_per_connection: 100000000 }
groups: { api: { pool: { max_concurrent: 1024 } } }
routes:
${
    Array.from(
      { length: routes },
      (_, i) => `  - { match: { path: /r${String(i).padStart(5, "0")} }, upstream: "${upstream}", group: api }`
    ).join("\n")
  }
`)

export const hasNginx = process.platform === "linux" && hasProgram("nginx", "-v")

export const subjects = {
  "floor": node("memory.floor.ts"),
  "ours, bare": ours("bare"),
  "ours, every policy": ours("every policy"),
  "@fastify/http-proxy": peer("@fastify/http-proxy"),
  "fast-gateway": peer("fast-gateway"),
  "http-proxy-3": peer("http-proxy-3"),
  "httpxy": peer("httpxy"),
  "http-proxy-middleware": peer("http-proxy-middleware"),
  "nginx": startNginx,
  "ours, full": ours("full"),
  "ours, ten routes": ours("10 routes"),
  "ours, 10,000 routes": ours("10,000 routes"),
  "ours, a table of ten": ours("a table of 10"),
  "ours, a table of 10,000": ours("a table of 10,000"),
  "the program, ten routes": program(10),
  "the program, 10,000 routes": program(10_000)
} satisfies Record<string, Start>

export type Subject = keyof typeof subjects

/** Those that are compared with each other, the floor first. */
export const proxies: ReadonlyArray<Subject> = [
  "floor",
  "ours, bare",
  "ours, every policy",
  "@fastify/http-proxy",
  "fast-gateway",
  "http-proxy-3",
  "httpxy",
  "http-proxy-middleware",
  ...hasNginx ? ["nginx"] as const : []
]
