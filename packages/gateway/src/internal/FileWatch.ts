import * as Fs from "node:fs"

// What a file looks like from outside; of one that is not there, nothing.
const lookOf = (stats: Fs.Stats | undefined): string =>
  stats === undefined ? "" : `${stats.dev} ${stats.ino} ${stats.mode} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`

/** Clocks of file systems may be behind by so many milliseconds: Linux reads them at its ticks. */
const late = 20

/**
 * Looks at files now and then: that sees files that are replaced, and links that are moved, on any file system.
 *
 * Node's `watchFile` looks for the first time some while after it was asked to, and what was changed until then it never sees.
 */
export class FileWatch {
  private readonly looks = new Map<string, string>()
  private readonly changed: () => void
  private readonly timer: NodeJS.Timeout
  private looking = 0

  /** `changed` is called once for all that have changed between two looks, `every` so many milliseconds. */
  constructor(changed: () => void, every = 500) {
    this.changed = changed
    this.timer = setInterval(() => this.look(), every).unref()
  }

  /** Watches a file, too, that was read after `since`, by the clock: if it has changed since then, it may not be what was read. */
  add(file: string, since: number): void {
    if (this.looks.has(file)) return
    let stats: Fs.Stats | undefined
    try {
      stats = Fs.statSync(file)
    } catch { /* it is gone */ }
    this.looks.set(file, lookOf(stats))
    if (stats === undefined || stats.ctimeMs >= since - late) this.changed()
  }

  close(): void {
    clearInterval(this.timer)
    this.looks.clear()
  }

  private look(): void {
    // A file system that does not answer is asked again when it has.
    if (this.looking > 0) return
    let hasChanged = false
    this.looking = this.looks.size
    for (const file of this.looks.keys()) {
      Fs.stat(file, (_, stats?: Fs.Stats) => {
        const look = lookOf(stats)
        const before = this.looks.get(file)
        if (before !== undefined && before !== look) {
          this.looks.set(file, look)
          hasChanged = true
        }
        if (--this.looking === 0 && hasChanged) this.changed()
      })
    }
  }
}
