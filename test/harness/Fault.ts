/** What can go wrong on a way between two hosts: data, which a `FaultyNetwork` makes come true. */
import { Effect } from "effect"

/** Which bytes a fault is about: what the one that connected says, or what it is answered. */
export type Direction = "request" | "response"

/** After how many of the bytes seen so far a fault strikes; `undefined` while it is too early to say. */
export type Point = (seen: Buffer) => number | undefined

/** What becomes of the connection. */
export type Blow =
  /** A RST to both ends. */
  | { readonly _tag: "Reset" }
  /** As when a process ends: a FIN, and nobody reads any more. */
  | { readonly _tag: "Close" }
  /** A FIN to the one that connected, whose own bytes go on. */
  | { readonly _tag: "HalfClose" }
  /** It takes whatever comes, and never says another word. */
  | { readonly _tag: "BlackHole" }
  /** It says nothing and reads nothing, so that the sender's buffers fill. */
  | { readonly _tag: "Freeze" }
  /** The one that connected is told these bytes; then it is as in a black hole. */
  | { readonly _tag: "Garbage"; readonly bytes: string }

export type Fault =
  | { readonly _tag: "None" }
  /** The connection is made, and struck before a byte of it has passed. */
  | { readonly _tag: "AtConnect"; readonly blow: Blow }
  /** So many bytes at a time pass, each after a wait in milliseconds; what comes before `from` is in no such need. */
  | {
    readonly _tag: "Slow"
    readonly direction: Direction
    readonly bytes: number
    readonly every: number
    readonly from: number
  }
  /** What comes before the point passes; then, once `when` is done, the blow. */
  | {
    readonly _tag: "Strike"
    readonly direction: Direction
    readonly at: Point
    readonly blow: Blow
    readonly when: Effect.Effect<unknown>
  }

export const none: Fault = { _tag: "None" }

export const reset: Blow = { _tag: "Reset" }
export const close: Blow = { _tag: "Close" }
export const halfClose: Blow = { _tag: "HalfClose" }
export const blackHole: Blow = { _tag: "BlackHole" }
export const freeze: Blow = { _tag: "Freeze" }
export const garbage = (bytes: string): Blow => ({ _tag: "Garbage", bytes })

export const atConnect = (blow: Blow): Fault => ({ _tag: "AtConnect", blow })

export const strike = (
  direction: Direction,
  at: Point,
  blow: Blow,
  when: Effect.Effect<unknown> = Effect.void
): Fault => ({ _tag: "Strike", direction, at, blow, when })

/** Whatever comes is late, by so many milliseconds. */
export const delay = (direction: Direction, millis: number): Fault => ({
  _tag: "Slow",
  direction,
  bytes: Number.POSITIVE_INFINITY,
  every: millis,
  from: 0
})

/** A line of so many bytes a second. */
export const throttle = (direction: Direction, bytesPerSecond: number): Fault => ({
  _tag: "Slow",
  direction,
  bytes: Math.max(1, Math.floor(bytesPerSecond / 100)),
  every: 10,
  from: 0
})

/** One byte at a time, after so many at once. */
export const drip = (direction: Direction, every: number, from = 0): Fault => ({
  _tag: "Slow",
  direction,
  bytes: 1,
  every,
  from
})

/** Before the first byte. */
export const start: Point = () => 0

/** After so many bytes. */
export const after = (bytes: number): Point => ({ length }) => length < bytes ? undefined : bytes

/** After so many bytes of a body, framing included. */
export const inBody = (bytes: number): Point => (seen) => {
  const end = seen.indexOf("\r\n\r\n")
  return end < 0 || seen.length < end + 4 + bytes ? undefined : end + 4 + bytes
}
