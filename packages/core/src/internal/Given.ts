/** Arguments as a function takes them: were they inferred from what is made of them too, one that is optional would become required. */
export type Given<Args> = [Args] extends [infer A extends ReadonlyArray<unknown>] ? A : never
