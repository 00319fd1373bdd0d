// What stands in `deploy/`, held against the program that it is for. Neither Docker nor Kubernetes is asked.
import { assert, describe, it } from "@effect/vitest"
import { validate, ValidationSeverity } from "dockerfile-utils"
import { Effect, Schema } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { parseAllDocuments } from "yaml"
import { AdminApi } from "../packages/gateway/src/AdminApi.ts"
import { parse } from "../packages/gateway/src/Config.ts"

const read = (name: string) => Fs.readFileSync(Path.resolve(import.meta.dirname, "../deploy", name), "utf8")

describe("deploy/Dockerfile", () => {
  const text = read("Dockerfile")

  it("has nothing that a linter objects to", () => {
    const all = {
      casingInstruction: ValidationSeverity.ERROR,
      deprecatedMaintainer: ValidationSeverity.ERROR,
      directiveCasing: ValidationSeverity.ERROR,
      emptyContinuationLine: ValidationSeverity.ERROR,
      instructionCasing: ValidationSeverity.ERROR,
      instructionCmdMultiple: ValidationSeverity.ERROR,
      instructionEntrypointMultiple: ValidationSeverity.ERROR,
      instructionHealthcheckMultiple: ValidationSeverity.ERROR,
      instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
      instructionWorkdirRelative: ValidationSeverity.ERROR
    }
    assert.deepStrictEqual(validate(text, all).map(({ message }) => message), [])
    // It does object.
    assert.notDeepEqual(validate("FROM a\nENTRYPOINT ['b']\nWORKDIR c\nCPOY d e\n", all), [])
  })

  it("builds in one stage, runs in another, as no root, and as the process that takes the signals", () => {
    const stages = text.split(/^(?=FROM )/m).slice(1)
    assert.strictEqual(stages.length, 2)
    const last = stages[1]!
    assert.notMatch(last, /^RUN /m)
    assert.match(last, /^USER (?!root|0\b)\S+$/m)
    // Without a shell, which would keep the signals for itself.
    assert.match(last, /^ENTRYPOINT \["/m)
    assert.match(last, /^CMD \["-c", "\/etc\/blackgate\/blackgate\.yml", "start"\]$/m)
    for (const [, image] of text.matchAll(/^FROM (\S+)/gm)) assert.match(image!, /^node:\d+-/)
  })
})

const Probe = Schema.Struct({ httpGet: Schema.Struct({ path: Schema.String, port: Schema.String }) })
const ConfigMap = Schema.Struct({
  apiVersion: Schema.Literal("v1"),
  kind: Schema.Literal("ConfigMap"),
  data: Schema.Struct({ "blackgate.yml": Schema.String })
})
const Deployment = Schema.Struct({
  apiVersion: Schema.Literal("apps/v1"),
  kind: Schema.Literal("Deployment"),
  spec: Schema.Struct({
    selector: Schema.Struct({ matchLabels: Schema.Record(Schema.String, Schema.String) }),
    template: Schema.Struct({
      metadata: Schema.Struct({ labels: Schema.Record(Schema.String, Schema.String) }),
      spec: Schema.Struct({
        terminationGracePeriodSeconds: Schema.Int,
        containers: Schema.Tuple([Schema.Struct({
          args: Schema.Array(Schema.String),
          env: Schema.Array(Schema.Struct({ name: Schema.String })),
          ports: Schema.Array(Schema.Struct({ name: Schema.String, containerPort: Schema.Int })),
          livenessProbe: Probe,
          readinessProbe: Probe,
          volumeMounts: Schema.Array(Schema.Struct({ name: Schema.String, mountPath: Schema.String }))
        })]),
        volumes: Schema.Array(Schema.Struct({ name: Schema.String, configMap: Schema.Struct({ name: Schema.String }) }))
      })
    })
  })
})

describe("deploy/kubernetes.yml", () => {
  it.effect("asks the admin API of the config that it mounts, and waits for its drain", () =>
    Effect.gen(function*() {
      const documents = parseAllDocuments(read("kubernetes.yml")).map((document) => document.toJS() as unknown)
      const map = yield* Schema.decodeUnknownEffect(ConfigMap)(documents[0])
      const { spec } = yield* Schema.decodeUnknownEffect(Deployment)(documents[1])
      const { containers: [container], terminationGracePeriodSeconds, volumes } = spec.template.spec
      assert.deepStrictEqual(spec.selector.matchLabels, spec.template.metadata.labels)

      const env = Object.fromEntries(container.env.map(({ name }) => [name, "secret"]))
      const { config } = yield* parse(map.data["blackgate.yml"], { file: "blackgate.yml", env, readFile: () => "" })
      const ports = Object.fromEntries(container.ports.map(({ containerPort, name }) => [name, containerPort]))
      assert.deepStrictEqual([ports["http"], ports["admin"]], [config.port, config.admin?.port])
      // The kubelet is on another machine, as far as the gateway knows.
      assert.strictEqual(config.admin?.host, "0.0.0.0")

      const paths = Object.values(AdminApi.groups).flatMap(({ endpoints }) =>
        Object.values(endpoints).map(({ path }) => path as string)
      )
      for (const { httpGet } of [container.livenessProbe, container.readinessProbe]) {
        assert.include(paths, httpGet.path)
        assert.strictEqual(httpGet.port, "admin")
      }
      assert.notStrictEqual(container.livenessProbe.httpGet.path, container.readinessProbe.httpGet.path)

      const seconds = (text: unknown) => Number(/^(\d+)s$/.exec(String(text))?.[1])
      const { delay, timeout } = config.drain ?? {}
      assert.isAbove(terminationGracePeriodSeconds, seconds(delay) + seconds(timeout))

      const [mount] = container.volumeMounts
      assert.isTrue(container.args[1]!.startsWith(`${mount!.mountPath}/`))
      assert.strictEqual(volumes.find(({ name }) => name === mount!.name)?.configMap.name, "blackgate")
    }))
})
