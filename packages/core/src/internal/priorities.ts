import type * as Pool from "../Pool.ts"

/** Of calls in a line, the first first. */
export const priorities: ReadonlyArray<Pool.Priority> = ["high", "normal", "low"]
