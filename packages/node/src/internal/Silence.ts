import { type Listed, Roster } from "./Roster.ts"

/** What may not be silent for too long. */
export interface Watched extends Listed {
  /** For how many beats nothing has moved. Whatever moves sets it to 0. */
  quiet: number
  silent(): void
}

const beats = 8
const longest = 2 ** 31 - 1

/**
 * One timer for all that may be silent for the same time. To note that something moved costs an assignment, and no look at the clock;
 * so the time is exceeded by up to an eighth.
 */
export class Silence {
  private readonly watched = new Roster<Watched>()
  private readonly period: number
  private timer: NodeJS.Timeout | undefined = undefined

  constructor(millis: number) {
    this.period = Math.min(Math.ceil(millis / beats), longest)
  }

  watch(it: Watched): void {
    it.quiet = 0
    this.watched.add(it)
    this.timer ??= setInterval(() => this.beat(), this.period).unref()
  }

  unwatch(it: Watched): void {
    this.watched.delete(it)
  }

  private beat(): void {
    if (this.watched.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
      return
    }
    // The first beat may come at any time, so the full time is over with the one after the last.
    for (const it of this.watched) if (this.watched.has(it) && ++it.quiet > beats) it.silent()
  }
}

const silences = new Map<number, Silence>()

/** The one for a time, in milliseconds. There are as many as there are settings of routes. */
export const silenceOf = (millis: number): Silence => {
  let silence = silences.get(millis)
  if (silence === undefined) silences.set(millis, silence = new Silence(millis))
  return silence
}
