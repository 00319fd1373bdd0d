/** What is kept of a key: of no use from `until` on. The list keeps the links. */
export class Entry {
  readonly key: string
  /** In milliseconds of whoever keeps it. */
  until = 0
  newer: this | undefined = undefined
  older: this | undefined = undefined

  constructor(key: string) {
    this.key = key
  }
}

/**
 * So many keys at the most: the one that was used longest ago makes room, and what is of no use goes as traffic passes.
 *
 * A list beside the map: the first key of a JavaScript map whose first keys are deleted all the time is a long way from its start.
 */
export class Recent<E extends Entry> {
  private readonly maxKeys: number
  private readonly entries = new Map<string, E>()
  private newest: E | undefined = undefined
  private oldest: E | undefined = undefined

  constructor(maxKeys: number) {
    this.maxKeys = maxKeys
  }

  get size(): number {
    return this.entries.size
  }

  get(key: string): E | undefined {
    return this.entries.get(key)
  }

  /** Makes one that is known the latest. */
  touch(entry: E): void {
    if (entry === this.newest) return
    this.unlink(entry)
    this.append(entry)
  }

  /** Adds one that is not known, as the latest. */
  add(entry: E, now: number): void {
    // Two that are over for each new one: few steps, and yet what is kept shrinks to what is in use.
    for (let steps = 0; this.oldest !== undefined; steps++) {
      const isFull = this.entries.size >= this.maxKeys
      if (!isFull && (steps === 2 || this.oldest.until > now)) break
      this.delete(this.oldest)
    }
    this.entries.set(entry.key, entry)
    this.append(entry)
  }

  delete(entry: E): void {
    this.entries.delete(entry.key)
    this.unlink(entry)
  }

  private append(entry: E): void {
    const { newest } = this
    entry.older = newest
    if (newest === undefined) this.oldest = entry
    else newest.newer = entry
    this.newest = entry
  }

  private unlink(entry: E): void {
    const { newer, older } = entry
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    entry.newer = entry.older = undefined
  }
}
