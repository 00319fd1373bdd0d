/**
 * @since 0.1.0
 */
export * as Server from "./Server.ts"
export * as Undici from "./Undici.ts"
