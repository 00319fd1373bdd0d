import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type { Usage } from "./memory.usage.ts"

const config = (folder: string, port: number, upstream: string): string => `
daemon off; master_process off; pid ${folder}/pid; error_log stderr error;
worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off;
  keepalive_timeout 600s; keepalive_requests 100000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  upstream there { server ${new URL(upstream).host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://there;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_max_temp_file_size 0;
      client_max_body_size 0; client_body_buffer_size 128k;
    }
  }
}
`

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false))
    socket.end()
  })

export interface Nginx {
  readonly port: number
  readonly usage: () => Usage
  readonly stop: () => void
}

/** One process, which is what one core can do. */
export const startNginx = async (upstream: string): Promise<Nginx> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-nginx-"))
  const port = await freePort()
  writeFileSync(join(folder, "nginx.conf"), config(folder, port, upstream))
  const child = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], {
    stdio: ["ignore", "ignore", "inherit"]
  })
  while (!await answers(port)) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    await setTimeout(20)
  }
  return {
    port,
    usage: () => usageOf(child),
    stop: () => {
      child.once("exit", () => rmSync(folder, { recursive: true, force: true }))
      child.kill()
    }
  }
}

// It can't be asked; Linux can.
const usageOf = ({ pid }: ChildProcess): Usage => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const mib = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(status)![1]) / 1024
  const cpuSeconds = Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e9
  return { cpuSeconds, rssMiB: mib("VmRSS"), maxRssMiB: mib("VmHWM"), highWaterMiB: mib("VmHWM") }
}
