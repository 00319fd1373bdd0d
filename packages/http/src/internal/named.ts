import type { HeaderList } from "../HeaderList.ts"

/** Whether a name is one that is wanted, in lower case. Names are tokens, so case is all that they differ by. */
export const is = (name: string, wanted: string): boolean =>
  name.length === wanted.length && (name === wanted || name.toLowerCase() === wanted)

/** The first value of a name that is given in lower case. */
export const valueOf = (list: HeaderList, wanted: string): string | undefined => {
  for (let i = 0; i < list.length; i += 2) if (is(list[i]!, wanted)) return list[i + 1]
  return undefined
}
