/** Given to the program by `node --import`, in a test: a system on which no two threads can listen on one port, as Node tells of it. */
import { Server } from "node:net"

const { listen } = Server.prototype
Server.prototype.listen = function(options, ...more) {
  if (options?.reusePort !== true) return Reflect.apply(listen, this, [options, ...more])
  const error = Object.assign(new Error("listen ENOTSUP: operation not supported on socket 127.0.0.1"), {
    code: "ENOTSUP",
    syscall: "listen"
  })
  process.nextTick(() => this.emit("error", error))
  return this
}
