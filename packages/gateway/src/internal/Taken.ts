import * as Context from "effect/Context"
import type { Listed } from "./RoutePlan.ts"

/** Which route a request has taken, where that turns out on the way only. */
export class Taken extends Context.Service<Taken, {
  plan: Listed | undefined
  /** Who wants to know as soon as there is one. */
  tell: ((route: Listed) => void) | undefined
}>()("blackgate/Taken") {}
