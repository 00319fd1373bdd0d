/** Where a gateway listens, in words. */
export const whereOf = (addresses: ReadonlyArray<string>, admin: ReadonlyArray<string>): string =>
  [addresses.join(" and "), ...admin.map((address) => `for operators on ${address}`)].join(", ")
