/** A test of text that answers at once for what has passed it last: the fields of requests are the same ones again and again. */
export const remembered = (test: (text: string) => boolean): (text: string) => boolean => {
  let last: string | undefined
  return (text) => {
    if (text === last) return true
    if (!test(text)) return false
    last = text
    return true
  }
}
