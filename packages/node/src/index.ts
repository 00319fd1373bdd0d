/**
 * @since 0.1.0
 */
export * as Connect from "./Connect.ts"
export * as Server from "./Server.ts"
export * as Tunnel from "./Tunnel.ts"
export * as Undici from "./Undici.ts"
