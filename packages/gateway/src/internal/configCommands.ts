import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Gateway from "../Gateway.ts"
import { loadPlan } from "./configFile.ts"
import { explain, routeTable } from "./explain.ts"
import { failWith, reported } from "./Failed.ts"
import { configFile, flags } from "./flags.ts"
import { jsonSchema } from "./jsonSchema.ts"

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

export const check = Command.make("check", {}, () =>
  reported(Effect.gen(function*() {
    const file = yield* configFile
    const plan = yield* loadPlan(file)
    const code = yield* Gateway.check(plan)
    const { groups, listeners, proxies, routes } = plan
    const parts = [
      count(listeners.filter(({ role }) => role === "gateway").length, "listener"),
      count(routes.length, "route"),
      count(proxies.length, "proxy", "proxies"),
      count(groups.length, "group"),
      ...(code === undefined || code.all.length === 0 ? [] : [count(code.all.length, "route") + " in code"])
    ]
    yield* Console.log(`${file} is good: ${parts.join(", ")}`)
  }))).pipe(Command.withDescription("Checks a config file, and the files that it names, without listening."))

export const schema = Command.make("schema", {}, () => Console.log(JSON.stringify(jsonSchema(), null, 2))).pipe(
  Command.withDescription("Prints the JSON Schema of config files, for editors.")
)

export const init = Command.make("init", {}, () =>
  Effect.gen(function*() {
    const { config = "blackgate.yml" } = yield* flags
    if (/\.(?:json|[cm]?[jt]s)$/i.test(config)) {
      return yield* failWith(1, `init writes YAML: expected a name that ends in .yml, found ${config}`)
    }
    const template = new URL("../../template.yml", import.meta.url)
    const written = yield* Effect.sync(() => {
      try {
        // "wx": not over one that is there.
        Fs.writeFileSync(config, Fs.readFileSync(template), { flag: "wx" })
        return undefined
      } catch (cause) {
        return cause as NodeJS.ErrnoException
      }
    })
    if (written !== undefined) {
      return yield* failWith(
        1,
        written.code === "EEXIST"
          ? `${config} is there already, and stays as it is`
          : `${config} can't be written: ${written.message}`
      )
    }
    return yield* Console.log(`${config} is written. Try: blackgate -c ${config} check`)
  })).pipe(Command.withDescription("Writes a config file with comments, to begin with; -c says where."))

const isMethod = /^[!#$%&'*+.^_`|~\w-]+$/
const isUrl = /^\S+$/

export const routes = Command.make(
  "routes",
  {
    explain: Flag.Boolean("explain").pipe(
      Flag.withDescription("Say what becomes of one request: METHOD URL"),
      Flag.withDefault(false)
    ),
    request: Argument.String("request").pipe(Argument.withMetavar("METHOD URL"), Argument.variadic())
  },
  ({ explain: isExplained, request }) =>
    Effect.gen(function*() {
      const plan = yield* reported(Effect.flatMap(configFile, loadPlan))
      // Which routes there are in code is known when they are built.
      const code = plan.loaded.code && (yield* reported(Gateway.check(plan)))
      if (!isExplained && request.length === 0) return yield* Console.log(routeTable(plan, code))
      const [method, url, ...more] = request
      if (more.length > 0 || !isExplained || !isMethod.test(method ?? "") || url === undefined || !isUrl.test(url)) {
        return yield* failWith(
          1,
          "expected routes --explain METHOD URL, such as routes --explain GET http://localhost/a"
        )
      }
      const { isRouted, text } = explain(plan, method!, url, code)
      return yield* isRouted ? Console.log(text) : failWith(1, text)
    })
).pipe(Command.withDescription("Prints the routes, or what becomes of one request."))
