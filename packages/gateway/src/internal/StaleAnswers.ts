import { HeaderList, type Rewrite } from "@blackgate/http"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { pipeline, Readable } from "node:stream"
import { type Directives, directivesOf, lifetimeOf } from "./cacheControl.ts"
import { saysWhoItIs, unusualOf } from "./requestHeaders.ts"
import { Tap } from "./Tap.ts"

/** In milliseconds, entries and bytes. */
export interface StaleOptions {
  readonly maxAge: number
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxBodySize: number
  /** What makes no difference to answers. */
  readonly ignoreHeaders: ReadonlyArray<string>
}

interface Kept {
  /** What `Vary` names, and what the request had there. */
  readonly vary: ReadonlyArray<readonly [name: string, value: string]>
  readonly headers: HeaderList.HeaderList
  readonly body: Uint8Array
  readonly size: number
  readonly came: number
  /** How old it was when it came, in seconds (RFC 9111, section 5.1). */
  readonly age: number
  /** How old it may be here, in milliseconds. */
  readonly maxAge: number
  /** Whether it says that it is for everybody. */
  readonly isPublic: boolean
}

// One that says to vary by something that is never the same would push out all others.
const maxVariants = 32

/**
 * The last good answers of a route: what a shared cache may keep (RFC 9111, section 3), for when there is no other answer
 * (`stale-if-error`, RFC 5861). Nothing that a client got by saying who it is is kept, or given to anybody.
 */
export class StaleAnswers {
  private readonly options: StaleOptions
  private readonly ignored: ReadonlySet<string>
  private readonly now: () => number
  /** By where and what was asked; of each, the one that came last is last. */
  private readonly kept = new Map<string, Array<Kept>>()
  private entries = 0
  private bytes = 0
  /** Of answers that are still coming. */
  private filling = 0

  constructor(options: StaleOptions, now: () => number = () => performance.now()) {
    this.options = options
    this.ignored = new Set(options.ignoreHeaders.map((name) => name.toLowerCase()))
    this.now = now
  }

  /** Keeps a copy of what passes, if it may be kept. */
  keep(response: Rewrite.ProxyResponse, request: Rewrite.ProxyRequest): Rewrite.ProxyResponse {
    const { source } = request
    const { status } = response
    const key = keyOf(request)
    if (!isSafe(source.method)) {
      // RFC 9111, section 4.4.
      if (status >= 200 && status < 400) this.forget(key)
      return response
    }
    if (source.method !== "GET" || request.method !== "GET" || saysWhoItIs(source.headers)) return response
    const directives = directivesOf(HeaderList.getAll(response.headers, "cache-control").join())
    const vary = varyOf(response.headers, request.headers)
    if (status !== 200 || vary === undefined || !mayBeKept(response.headers, directives)) {
      if (isNews(status)) this.forget(key)
      return response
    }
    if (directivesOf(source.headers["cache-control"]).has("no-store")) return response
    if (!directives.has("public") && !this.isOrdinary(request, vary)) return response
    return this.copied(response, (body) => this.put(key, response.headers, body, vary, directives))
  }

  /** The last good answer to a request, if there is one that may be given. */
  find(request: Rewrite.ProxyRequest): HttpServerResponse.HttpServerResponse | undefined {
    const { source } = request
    if (source.method !== "GET" || request.method !== "GET" || saysWhoItIs(source.headers)) return undefined
    const found = this.kept.get(keyOf(request))?.findLast(({ isPublic, vary }) =>
      vary.every(([name, value]) => valueOf(request.headers, name) === value)
      && (isPublic || this.isOrdinary(request, vary))
    )
    if (found === undefined) return undefined
    const { age, body, came, headers, maxAge } = found
    const here = this.now() - came
    if (here > maxAge) return undefined
    const contentType = HeaderList.get(headers, "content-type") ?? "application/octet-stream"
    const fields = HeaderList.toHeaders(
      // RFC 9111, section 5.1; RFC 9211, section 2.
      HeaderList.append(
        HeaderList.set(headers, "age", String(age + Math.floor(here / 1000))),
        "cache-status",
        "blackgate; fwd=stale; detail=stale-if-error"
      )
    )
    return HttpServerResponse.uint8Array(body, { status: 200, headers: fields, contentType })
  }

  // Whether nothing makes a difference between this request and others but what the answer says.
  private isOrdinary({ source }: Rewrite.ProxyRequest, vary: Kept["vary"]): boolean {
    return unusualOf(source.headers).every((name) => this.ignored.has(name) || vary.some(([named]) => named === name))
  }

  private copied(response: Rewrite.ProxyResponse, put: (body: Uint8Array) => void): Rewrite.ProxyResponse {
    const { body } = response
    const { maxBodySize, maxBytes } = this.options
    if (body._tag === "Uint8Array") {
      if (body.body.length <= maxBodySize) put(body.body.slice())
      return response
    }
    if (body._tag !== "Raw" || !(body.body instanceof Readable) || (body.contentLength ?? 0) > maxBodySize) {
      return response
    }
    const tap = new Tap(maxBodySize, {
      take: (bytes) => {
        if (this.filling + bytes > maxBytes) return false
        this.filling += bytes
        return true
      },
      give: (bytes) => {
        this.filling -= bytes
      },
      whole: put
    })
    pipeline(body.body, tap, () => {})
    const length = HeaderList.get(response.headers, "content-length")
    return {
      ...response,
      body: HttpBody.raw(tap, {
        contentType: body.contentType,
        contentLength: length === undefined ? undefined : Number(length)
      })
    }
  }

  private put(
    key: string,
    headers: HeaderList.HeaderList,
    body: Uint8Array,
    vary: Kept["vary"],
    directives: Directives
  ): void {
    const stored = ["content-length", "age", "trailer"].reduce(HeaderList.remove, headers)
    const size = body.length + 2 * [key, ...stored, ...vary.flat()].reduce((sum, text) => sum + text.length, 0)
    if (size > this.options.maxBytes) return
    const age = ageOf(headers)
    const lifetime = lifetimeOf(directives) - age * 1000
    const others = (this.kept.get(key) ?? []).filter((each) => {
      const isSame = same(each.vary, vary)
      if (isSame) this.uncount(each)
      return !isSame
    })
    if (others.length >= maxVariants) this.uncount(others.shift()!)
    const kept = {
      vary,
      headers: stored,
      body,
      size,
      came: this.now(),
      age,
      maxAge: Math.min(this.options.maxAge, lifetime),
      isPublic: directives.has("public")
    }
    this.kept.delete(key)
    this.kept.set(key, [...others, kept])
    this.entries++
    this.bytes += size
    this.makeRoom()
  }

  private makeRoom(): void {
    for (const [key, variants] of this.kept) {
      while (this.entries > this.options.maxEntries || this.bytes > this.options.maxBytes) {
        const oldest = variants.shift()
        if (oldest === undefined) break
        this.uncount(oldest)
      }
      if (variants.length > 0) return
      this.kept.delete(key)
    }
  }

  private forget(key: string): void {
    this.kept.get(key)?.forEach((each) => this.uncount(each))
    this.kept.delete(key)
  }

  private uncount({ size }: Kept): void {
    this.entries--
    this.bytes -= size
  }
}

// What the gateway tells its upstream of where it was asked: of a proxy that it trusts, that is more than the host.
const told = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix"] as const
const whoAsked = /(?:^|(?<=[;,]))\s*(?:for|by)=(?:"(?:[^"\\]|\\.)*"|[^;,]*)/gi

const keyOf = ({ headers, source }: Rewrite.ProxyRequest): string =>
  JSON.stringify([
    source.headers["host"]?.toLowerCase(),
    source.url,
    ...told.map((name) => valueOf(headers, name)),
    valueOf(headers, "forwarded").replaceAll(whoAsked, "")
  ])

// RFC 9110, section 9.2.1.
const isSafe = (method: string): boolean => /^(?:GET|HEAD|OPTIONS|TRACE|QUERY)$/.test(method)

// What was there for everybody is not any more.
const isNews = (status: number): boolean =>
  status === 200 || (status >= 300 && status < 400 && status !== 304) || /^(?:401|403|404|410)$/.test(String(status))

const mayBeKept = (headers: HeaderList.HeaderList, directives: Directives): boolean =>
  !directives.has("private") && !directives.has("no-store") && !directives.has("no-cache")
  && !["set-cookie", "www-authenticate", "trailer"].some((name) => HeaderList.get(headers, name) !== undefined)
  && !HeaderList.get(headers, "content-type")?.startsWith("text/event-stream")

const valueOf = (headers: HeaderList.HeaderList, name: string): string => HeaderList.getAll(headers, name).join(", ")

/** `undefined` if it is for this request alone. */
const varyOf = (response: HeaderList.HeaderList, request: HeaderList.HeaderList): Kept["vary"] | undefined => {
  const names = new Set(HeaderList.getAll(response, "vary").join().toLowerCase().split(",").map((name) => name.trim()))
  if (names.has("*")) return undefined
  // What many forget to say.
  if (HeaderList.get(response, "content-encoding") !== undefined) names.add("accept-encoding")
  if ((HeaderList.get(response, "access-control-allow-origin") ?? "*") !== "*") names.add("origin")
  names.delete("")
  return Array.from(names, (name) => [name, valueOf(request, name)])
}

const same = (a: Kept["vary"], b: Kept["vary"]): boolean => JSON.stringify(a) === JSON.stringify(b)

const ageOf = (headers: HeaderList.HeaderList): number => {
  const age = HeaderList.get(headers, "age")
  return age !== undefined && /^\d{1,10}$/.test(age) ? Number(age) : 0
}
