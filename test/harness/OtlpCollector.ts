import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Zlib from "node:zlib"

type Value = { readonly stringValue?: string; readonly intValue?: number | string; readonly doubleValue?: number }
type Attributes = ReadonlyArray<{ readonly key: string; readonly value: Value }>

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: Attributes
}

interface Scoped {
  readonly spans?: ReadonlyArray<Span>
  readonly metrics?: ReadonlyArray<{ readonly name: string }>
  readonly logRecords?: ReadonlyArray<{ readonly body: Value }>
}

interface Resourced {
  readonly resource: { readonly attributes: Attributes }
  readonly scopeSpans?: ReadonlyArray<Scoped>
  readonly scopeMetrics?: ReadonlyArray<Scoped>
  readonly scopeLogs?: ReadonlyArray<Scoped>
}

interface Post {
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Readonly<Record<string, ReadonlyArray<Resourced>>>
}

export const attribute = (attributes: Attributes, name: string) => {
  const value = attributes.find(({ key }) => key === name)?.value
  return value?.stringValue ?? value?.intValue ?? value?.doubleValue
}

/** Takes what is pushed by OTLP over HTTP in JSON, and answers with a status. */
export class OtlpCollector {
  readonly posts: Array<Post> = []
  url = ""
  status = 200

  private scoped(kind: "Spans" | "Metrics" | "Logs"): ReadonlyArray<Scoped> {
    return this.posts.flatMap(({ body }) => body[`resource${kind}`] ?? []).flatMap((each) => each[`scope${kind}`] ?? [])
  }

  get resources(): ReadonlyArray<Attributes> {
    return this.posts.flatMap(({ body }) => Object.values(body).flat()).map(({ resource }) => resource.attributes)
  }

  get spans(): ReadonlyArray<Span> {
    return this.scoped("Spans").flatMap(({ spans = [] }) => spans)
  }

  get metrics(): ReadonlyArray<string> {
    return this.scoped("Metrics").flatMap(({ metrics = [] }) => metrics.map(({ name }) => name))
  }

  get logs(): ReadonlyArray<string> {
    return this.scoped("Logs").flatMap(({ logRecords = [] }) => logRecords.map(({ body }) => body.stringValue ?? ""))
  }

  readonly listener: Http.RequestListener = (request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk)).once("end", () => {
      const whole = Buffer.concat(chunks)
      const text = request.headers["content-encoding"] === "gzip" ? Zlib.gunzipSync(whole) : whole
      if (this.status < 300) {
        this.posts.push({
          path: request.url ?? "",
          headers: request.headers,
          body: JSON.parse(String(text)) as Post["body"]
        })
      }
      response.writeHead(this.status, { "content-type": "application/json" }).end("{}")
    })
  }
}

/** One that is there until the end of the scope. */
export const make: Effect.Effect<OtlpCollector, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Http.Server; readonly collector: OtlpCollector }>((resume) => {
      const collector = new OtlpCollector()
      const server = Http.createServer(collector.listener)
      server.listen(0, "127.0.0.1", () => {
        collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
        resume(Effect.succeed({ server, collector }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ),
  ({ collector }) => collector
)
