/** Loads all of each package: what its first page exports, and what that needs. */
export const loadAll = async (): Promise<void> => {
  for (const name of ["blackgate/core", "blackgate/http", "blackgate/node", "effect/platform-node"]) {
    await import(`@${name}`)
  }
  for (const name of ["effect", "effect/http"]) await import(name)
}
