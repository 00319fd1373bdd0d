/**
 * @since 0.1.0
 */
export * as Tunnel from "./Tunnel.ts"
export * as Undici from "./Undici.ts"
