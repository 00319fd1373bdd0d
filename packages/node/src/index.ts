/**
 * @since 0.1.0
 */
export * as Undici from "./Undici.ts"
