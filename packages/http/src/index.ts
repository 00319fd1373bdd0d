/**
 * @since 0.1.0
 */
export * as CallContext from "./CallContext.ts"
export * as Client from "./Client.ts"
export * as Forwarded from "./Forwarded.ts"
export * as HeaderList from "./HeaderList.ts"
export * as Proxy from "./Proxy.ts"
export * as Replay from "./Replay.ts"
export * as RequestPath from "./RequestPath.ts"
export * as Rewrite from "./Rewrite.ts"
export * as Transport from "./Transport.ts"
export * as Upgrade from "./Upgrade.ts"
export * as Upstream from "./Upstream.ts"
export * as UpstreamError from "./UpstreamError.ts"
export * as UpstreamTls from "./UpstreamTls.ts"
