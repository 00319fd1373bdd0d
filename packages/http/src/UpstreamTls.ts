/**
 * How a connection to an upstream is encrypted, and whom it trusts.
 *
 * Plain data: a transport that can't do what is asked for here fails the request, and never connects with less.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Options of TLS to an upstream.
 *
 * **When to use**
 *
 * Use when an upstream's certificate comes from an authority of your own, when it wants to see a certificate of the gateway's, or
 * when the name in its certificate is not the one in its URL.
 *
 * **Gotchas**
 *
 * The name is that of the upstream, whatever the `Host` of a request says: `preserveHost` changes neither what is asked for
 * by SNI, nor what the certificate is compared with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Who vouches for the upstream: certificates in PEM. They stand in place of the authorities that the runtime trusts. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** The gateway's own certificate, for an upstream that asks for one, and those between it and the root: PEM. Goes with `key`. */
  readonly cert?: string | undefined
  /** The key of `cert`, in PEM. */
  readonly key?: string | undefined
  /** Of the key, if it is encrypted. */
  readonly passphrase?: string | undefined
  /** The name that is asked for (SNI) and looked for in the certificate. The host of the upstream's URL by default. */
  readonly serverName?: string | undefined
  /** The least version that is spoken. `"TLSv1.2"` by default. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /** OpenSSL's list of ciphers, for TLS 1.2 and 1.3. The runtime's own by default. */
  readonly ciphers?: string | undefined
  /**
   * `"on"`, the default: a connection whose certificate nobody vouches for, or that is another's, is refused. `"off-insecure"`:
   * anybody on the way can read and change what is sent, and take the upstream's place; a warning in the log says so.
   */
  readonly verify?: "on" | "off-insecure" | undefined
}

const pem = Schema.String.check(
  Schema.makeFilter((text: string) => text.includes("-----BEGIN ") ? undefined : "expected PEM")
)

// An address can't be a server name (RFC 6066, section 3).
const name = Schema.String.check(
  Schema.makeFilter((text: string) =>
    /^(?=.*[a-z_-])[\w-]+(?:\.[\w-]+)*$/i.test(text)
      ? undefined
      : `expected the name of a host, got ${JSON.stringify(text)}`
  )
)

/**
 * What such options have to be like.
 *
 * @category schemas
 * @since 0.1.0
 */
export const schema = Schema.Struct({
  ca: Schema.optional(Schema.Union([pem, Schema.NonEmptyArray(pem)])),
  cert: Schema.optional(pem),
  key: Schema.optional(pem),
  passphrase: Schema.optional(Schema.String),
  serverName: Schema.optional(name),
  minVersion: Schema.optional(Schema.Literals(["TLSv1.2", "TLSv1.3"])),
  ciphers: Schema.optional(Schema.String),
  verify: Schema.optional(Schema.Literals(["on", "off-insecure"]))
}).check(
  Schema.makeFilter(({ cert, key, passphrase }) =>
    (cert === undefined) !== (key === undefined)
      ? `expected cert and key together, got only ${cert === undefined ? "key" : "cert"}`
      : passphrase !== undefined && key === undefined
      ? "expected key with passphrase"
      : undefined
  )
)

/**
 * Options for an upstream, where those of a transport hold for what they don't say.
 *
 * **Example** (An authority for all, a name for one)
 *
 * ```ts import.meta.vitest
 * import { UpstreamTls } from "@blackgate/http"
 *
 * const all: UpstreamTls.Options = { minVersion: "TLSv1.3", serverName: "a.internal" }
 *
 * UpstreamTls.over(all, { serverName: "b.internal" }) // => { minVersion: "TLSv1.3", serverName: "b.internal" }
 * ```
 *
 * @category combining
 * @since 0.1.0
 */
export const over = (self: Options, that: Options | undefined): Options => {
  const all: Record<string, unknown> = { ...self }
  for (const [option, value] of Object.entries(that ?? {})) if (value !== undefined) all[option] = value
  // A key of its own has a passphrase of its own, or none.
  if (that?.key !== undefined && that.passphrase === undefined) delete all["passphrase"]
  return all
}
