// Who asks, in `memory.ts`, in a process of its own: one transfer, and how many bytes came back.
import { request } from "node:http"
import { pipeline, Readable } from "node:stream"
import { chunks } from "./memory.body.ts"

export type Transfer = "download" | "upload" | "both"

export interface Job {
  readonly transfer: Transfer
  readonly port: number
  readonly bytes: number
}

process.on("message", ({ bytes, port, transfer }: Job) => {
  const path = transfer === "download" ? `/download?bytes=${bytes}` : transfer === "upload" ? "/upload" : "/echo"
  const from = performance.now()
  const outgoing = request({
    host: "127.0.0.1",
    port,
    path,
    method: transfer === "download" ? "GET" : "POST",
    agent: false
  })
  outgoing.on("response", (response) => {
    let received = 0
    let text = ""
    response.on("data", (chunk: Buffer) => {
      received += chunk.length
      if (transfer === "upload") text += chunk
    })
    response.on("end", () =>
      process.send!({
        status: response.statusCode,
        passed: transfer === "upload" ? Number(text) : received,
        seconds: (performance.now() - from) / 1000
      }))
  })
  if (transfer === "download") outgoing.end()
  else pipeline(Readable.from(chunks(bytes)), outgoing, () => {})
})
process.on("disconnect", () => process.exit())
