import type { CallContext, Proxy } from "@blackgate/http"
import * as Option from "effect/Option"
import type { Config } from "../ConfigSchema.ts"
import { time } from "./options.ts"
import { Peers } from "./Peers.ts"

type CallContextConfig = NonNullable<NonNullable<Config["routes"]>[number]["call_context"]>

/** What a route reads of how much time there is, and how much it matters; and what it says of that. */
export const callContextOptions = (config: CallContextConfig | undefined): Proxy.Options["callContext"] => {
  if (config === undefined) return undefined
  const { receive, send } = config
  return {
    receive: typeof receive === "object" ? receiveOptions(receive) : receive,
    send: typeof send === "object" ? { criticalityHeader: send.criticality_header } : send
  }
}

const receiveOptions = (
  receive: Extract<NonNullable<CallContextConfig["receive"]>, object>
): CallContext.Receive => {
  const trusted = receive.trust && new Peers(receive.trust)
  return {
    trust: trusted && (({ remoteAddress }) => trusted.has(Option.getOrUndefined(remoteAddress))),
    maxDeadline: time(receive.max_deadline),
    maxCriticality: receive.max_criticality,
    criticalityHeader: receive.criticality_header
  }
}

/** In words. */
export const describeCallContext = (
  { receive, send }: NonNullable<Proxy.Options["callContext"]>
): string | undefined => {
  const does = [...(receive ? ["received"] : []), ...(send ? ["sent"] : [])]
  return does.length === 0 ? undefined : `call context (${does.join(" and ")})`
}
