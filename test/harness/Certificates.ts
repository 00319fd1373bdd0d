import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

export interface Issued {
  readonly cert: string
  readonly key: string
}

const openssl = (folder: string, ...args: ReadonlyArray<string>) =>
  execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] })

/** An authority of the test's own, that issues certificates for the names given: DNS names, or a subject such as `/CN=mobile`. */
export const authority = (name = "test authority") => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "blackgate-tls-"))
  process.once("exit", () => Fs.rmSync(folder, { recursive: true, force: true }))
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const read = (file: string) => Fs.readFileSync(Path.join(folder, file), "utf8")
  openssl(folder, "req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", `/CN=${name}`)
  let issued = 0
  return {
    cert: read("ca.crt"),
    issue(...names: ReadonlyArray<string>): Issued {
      const file = `leaf-${++issued}`
      const subject = names.find((each) => each.startsWith("/")) ?? `/CN=${names[0]}`
      const alternatives = names.filter((each) => !each.startsWith("/")).map((each) => `DNS:${each}`).join(",")
      const extensions = alternatives === "" ? [] : ["-addext", `subjectAltName=${alternatives}`]
      openssl(
        folder,
        "req",
        "-x509",
        ...key,
        "-keyout",
        `${file}.key`,
        "-out",
        `${file}.crt`,
        "-days",
        "2",
        "-subj",
        subject,
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        ...extensions
      )
      return { cert: read(`${file}.crt`), key: read(`${file}.key`) }
    }
  }
}
