// The peers of `proxy.ts`, each as its documentation says, with connections to the upstream that are kept, and no log.
import httpProxy from "@fastify/http-proxy"
import express from "express"
import fastGateway from "fast-gateway"
import fastify from "fastify"
import httpProxy3 from "http-proxy-3"
import { createProxyMiddleware } from "http-proxy-middleware"
import { createProxyServer } from "httpxy"
import { Agent, createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { reportUsage } from "./memory.usage.ts"

const [, , target = "", name = ""] = process.argv
const agent = new Agent({ keepAlive: true })
const keepAliveTimeout = 600_000

const serving = (listener: RequestListener): Server => createServer({ keepAliveTimeout }, listener)

const peers: Record<string, () => Server | Promise<Server>> = {
  "@fastify/http-proxy": async () => {
    const app = fastify({ keepAliveTimeout, logger: false })
    await app.register(httpProxy, { upstream: target, undici: { pipelining: 1, connections: null } })
    await app.ready()
    return app.server
  },
  "fast-gateway": () => {
    const server = createServer({ keepAliveTimeout })
    fastGateway(
      {
        restana: { server },
        enableServicesEndpoint: false,
        routes: [{ prefix: "", target, disableQsOverwrite: true }]
      } as Parameters<typeof fastGateway>[0]
    )
    return server
  },
  "http-proxy-3": () => {
    const proxy = httpProxy3.createProxyServer({ target, agent, xfwd: true })
    proxy.on("error", (_, __, response) => response?.destroy())
    return serving((request, response) => proxy.web(request, response))
  },
  "httpxy": () => {
    const proxy = createProxyServer({ target, agent, xfwd: true })
    proxy.on("error", (_, __, response) => response?.destroy())
    return serving((request, response) => void proxy.web(request, response))
  },
  "http-proxy-middleware": () => {
    const app = express()
    app.use(createProxyMiddleware({ target, agent, xfwd: true }))
    return serving(app)
  }
}

const server = await peers[name]!()
server.listen(0, "127.0.0.1", 4096, () => process.send!({ port: (server.address() as AddressInfo).port }))
reportUsage()
