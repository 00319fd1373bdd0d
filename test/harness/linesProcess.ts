// A process that writes more lines than anybody reads, then some more, and ends at once when it is told to.
import { stdout } from "../../packages/gateway/src/internal/Lines.ts"

/** As a stream of the process does: it is not waited for. */
process.stdout.on("error", () => {})

const line = (i: number) => `${i} ${"x".repeat(1000)}`
let count = 0
const write = (lines: number) => {
  for (let i = 0; i < lines; i++) stdout.write(line(count++))
}
write(2000)
setTimeout(() => {
  write(100)
  // The moment that a pipe that is full is asked again comes later.
  process.send!("ends", () => process.exit(0))
}, 100)
