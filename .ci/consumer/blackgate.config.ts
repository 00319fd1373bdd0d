import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { defineConfig } from "blackgate/config"

const port: number = 9654

class Api extends Group.Service<Api>()("api") {}

export default defineConfig({
  config: { port, groups: { api: { pool: { max_concurrent: 1 } } } },
  routes: Proxy.route("/api/*", { group: Api, upstream: "http://127.0.0.1:1" })
})
