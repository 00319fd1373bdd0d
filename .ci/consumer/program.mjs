// Runs the installed program as its user would: `node program.mjs`, in the folder where it is installed.
import { strictEqual } from "node:assert"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"

const upstream = createServer((request, response) => response.end(`upstream ${request.url}`))
await new Promise((resolve) => upstream.listen(0, "127.0.0.1", resolve))
// What `init` has written, on ports that are free.
const config = readFileSync("blackgate.yml", "utf8").replace("127.0.0.1:8080", `127.0.0.1:${upstream.address().port}`)
writeFileSync("free.yml", config.replace("port: 9655", "port: 0"))
const program = spawn("node_modules/.bin/blackgate", ["-c", "free.yml", "start"], {
  env: { ...process.env, PORT: "0" },
  stdio: ["ignore", "pipe", "inherit"]
})
const ended = new Promise((resolve) => program.once("exit", (code, signal) => resolve(signal ?? code)))
const origin = await new Promise((resolve, reject) => {
  ended.then((how) => reject(new Error(`it ended with ${how} before it listened`)))
  program.stdout.on("data", (text) => {
    const port = /^Blackgate listens on http:\/\/\S+:(\d+)/m.exec(String(text))?.[1]
    if (port !== undefined) resolve(`http://127.0.0.1:${port}`)
  })
})
const answer = await fetch(`${origin}/api/users`)
strictEqual(`${answer.status} ${await answer.text()}`, "200 upstream /users")
strictEqual((await fetch(`${origin}/other`)).status, 404)
program.kill("SIGTERM")
strictEqual(await ended, 0)
upstream.close()
console.log(`blackgate starts, answers and drains under Node ${process.versions.node}`)
