/** How many tokens there are in what time. */
export interface Limit {
  readonly limit: number
  /** In milliseconds. */
  readonly window: number
  readonly algorithm: "token-bucket" | "fixed-window"
}

/** What is known of those that were taken. From `until` on, that is nothing. */
export interface Tokens {
  taken: number
  until: number
}

/** When tokens are taken, and when they are back. */
export class TokenRule {
  private readonly limit: Limit
  /** How long a token takes to come back. */
  private readonly refill: number
  /** A wait so short is what adding fractions has lost: a microsecond, or a thousandth of a token. */
  private readonly slack: number

  /** How far the time of one who takes may be behind that of another, in milliseconds. */
  private readonly apart: number

  constructor({ algorithm, limit, window }: Limit, apart = 0) {
    this.apart = apart
    this.limit = { algorithm, limit, window }
    this.refill = window / limit
    this.slack = Math.min(this.refill, 1) / 1000
  }

  /** How many are left. */
  left({ taken, until }: Tokens, now: number): number {
    const { algorithm, limit, window } = this.limit
    const ahead = until - now
    if (ahead <= 0) return limit
    return algorithm === "fixed-window"
      ? Math.max(0, limit - taken)
      : Math.floor(Math.max(0, window - ahead + this.slack) / this.refill)
  }

  /** 0 if so many were taken, or in how many milliseconds they could be. */
  take(of: Tokens, tokens: number, now: number): number {
    const { algorithm, limit, window } = this.limit
    // Further ahead only if the clock went back, which must not cost more than a window.
    if (of.until > now + window + this.apart) of.until = now + window
    const { until } = of
    if (algorithm === "token-bucket") {
      // It is full again at `until`; each token makes that later by the time that one takes (GCRA, ITU-T I.371).
      const next = Math.max(until, now) + tokens * this.refill
      const wait = next - now - window
      if (wait > this.slack) return wait
      of.until = next
      return 0
    }
    if (until <= now) of.taken = 0
    if (of.taken + tokens > limit) return until - now
    of.taken += tokens
    of.until = Math.max(until, now) + tokens * this.refill
    return 0
  }
}
