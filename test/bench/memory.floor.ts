// The floor. Told `loaded`, it loads all that ours can, and uses none of it.
import type { AddressInfo } from "node:net"
import { floor } from "./floor.ts"
import { loadAll } from "./memory.all.ts"
import { reportUsage } from "./memory.usage.ts"

if (process.argv[3] === "loaded") await loadAll()

const server = floor(process.argv[2]!)
server.listen(0, "127.0.0.1", 4096, () => process.send!({ port: (server.address() as AddressInfo).port }))
reportUsage()
