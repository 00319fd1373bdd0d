/** The known word that was probably meant; `undefined` if none is near. */
export const suggest = (word: string, known: Iterable<string>): string | undefined => {
  let best: string | undefined
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const far = distance(folded(word), folded(candidate))
    if (far < least) [best, least] = [candidate, far]
  }
  return best
}

// `maxConcurrent` and `max-concurrent` are spellings of `max_concurrent`.
const folded = (word: string): string => word.slice(0, 100).toLowerCase().replaceAll(/[-_ ]/g, "")

/** Insertions, deletions, replacements and swaps of neighbours (Damerau and Levenshtein, restricted). */
const distance = (a: string, b: string): number => {
  let before: Array<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2]! + 1)
      row.push(least)
    }
    before = last
    last = row
  }
  return last[b.length]!
}
