import type { Outcome } from "../CommandMetrics.ts"

/** The base of the machinery's failures: an `Error` by prototype only (22 ns, where capturing a stack takes 2 µs). */
// By prototype alone it is one, which only merging tells the compiler: `extends Error` would capture a stack.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export abstract class Rejection {
  abstract readonly _tag: string
  abstract readonly message: string
  /** The name of the group. */
  readonly group: string
  /** The key of the command. */
  readonly key: string
  /** @internal */
  declare readonly outcome: Outcome

  constructor(group: string, key: string) {
    this.group = group
    this.key = key
  }

  get name(): string {
    return this._tag
  }
  get stack(): string {
    return `${this._tag}: ${this.message}`
  }
  toString(): string {
    return this.stack
  }
  toJSON(): unknown {
    return { ...this, _tag: this._tag, message: this.message }
  }

  /** Puts the constants of a class on its prototype, where no instance pays for them. */
  static define(this: { readonly prototype: Rejection }, tag: string, outcome: Outcome): void {
    Object.defineProperty(this.prototype, "_tag", { value: tag, enumerable: true })
    Object.defineProperty(this.prototype, "outcome", { value: outcome })
  }
}
Object.setPrototypeOf(Rejection.prototype, Error.prototype)
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Rejection extends Error {}
