/** An error that is the client's doing, and tells nothing of an upstream. */
export class ClientBroke extends Error {
  override readonly name = "ClientBroke"
}
