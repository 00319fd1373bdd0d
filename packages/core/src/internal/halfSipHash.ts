/**
 * HalfSipHash-1-3, 64 bits of it, as in Linux: a hash with a secret, so that nobody who chooses a name can make it another one's.
 *
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF"; the half, with words of 32 bits, is their reference code's.
 */
const v = new Int32Array(4)

/** The two halves of the latest hash: an array would be one more to allocate for each call. */
export const hashed = new Int32Array(2)

const round = (): void => {
  let v0 = v[0]!, v1 = v[1]!, v2 = v[2]!, v3 = v[3]!
  v0 = (v0 + v1) | 0
  v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
  v0 = (v0 << 16) | (v0 >>> 16)
  v2 = (v2 + v3) | 0
  v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
  v0 = (v0 + v3) | 0
  v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
  v2 = (v2 + v1) | 0
  v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
  v2 = (v2 << 16) | (v2 >>> 16)
  v[0] = v0
  v[1] = v1
  v[2] = v2
  v[3] = v3
}

const absorb = (word: number): void => {
  v[3]! ^= word
  round()
  v[0]! ^= word
}

const squeeze = (with_: 1 | 2, mask: number): number => {
  v[with_]! ^= mask
  for (let i = 0; i < 3; i++) round()
  return v[1]! ^ v[3]!
}

/** Hashes the code units of a text, under a secret of 64 bits, into `hashed`. */
export const halfSipHash = (text: string, key0: number, key1: number): void => {
  v[0] = key0
  v[1] = key1 ^ 0xee
  v[2] = 0x6c796765 ^ key0
  v[3] = 0x74656462 ^ key1
  const { length } = text
  let i = 0
  for (; i + 1 < length; i += 2) absorb(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16))
  absorb(((2 * length) << 24) | (i < length ? text.charCodeAt(i) : 0))
  hashed[0] = squeeze(2, 0xee)
  hashed[1] = squeeze(1, 0xdd)
}
