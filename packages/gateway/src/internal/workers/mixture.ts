interface Distribution {
  /** How much is of it. */
  readonly weight: number
  /** Quantiles that are known, in order, the last of them for 1. Nothing is below 0. */
  readonly points: ReadonlyArray<readonly [quantile: number, value: number]>
}

/** The share of a distribution that is not above a value: straight lines between the quantiles that are known. */
const shareBelow = ({ points }: Distribution, value: number): number => {
  let [quantile, from] = [0, 0]
  for (const [next, to] of points) {
    if (value < to) return quantile + (next - quantile) * (value - from) / (to - from)
    quantile = next
    from = to
  }
  return 1
}

/**
 * The quantiles of several distributions together, of which a few quantiles are known: between the smallest and the largest of theirs, and
 * just theirs if they are alike.
 */
export const mixture = (all: ReadonlyArray<Distribution>) => (quantile: number): number => {
  const total = all.reduce((sum, { weight }) => sum + weight, 0)
  const own = all.map(({ points }) => points.find(([known]) => known === quantile)?.[1] ?? 0)
  let [low, high] = [Math.min(...own), Math.max(...own)]
  // Each halving is a bit of the result.
  for (let i = 0; i < 40 && high - low > 1e-9; i++) {
    const middle = (low + high) / 2
    const share = all.reduce((sum, each) => sum + each.weight * shareBelow(each, middle), 0) / total
    if (share < quantile) low = middle
    else high = middle
  }
  return high
}
