// Given to the program by `node --import`: a request costs the thread that takes it about a millisecond of CPU more.
import { subscribe } from "node:diagnostics_channel"

// The same work each time, since a busy machine can't tell the time that a thread has had to the microsecond.
const steps = 240_000
let x = 1
const burn = () => {
  for (let i = 0; i < steps; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0
  return x
}

subscribe("http.server.request.start", burn)
