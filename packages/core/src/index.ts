/**
 * @since 0.1.0
 */
export * as Circuit from "./Circuit.ts"
export * as CircuitStore from "./CircuitStore.ts"
export * as Coalesce from "./Coalesce.ts"
export * as Command from "./Command.ts"
export * as CommandError from "./CommandError.ts"
export * as CommandMetrics from "./CommandMetrics.ts"
export * as Criticality from "./Criticality.ts"
export * as Deadline from "./Deadline.ts"
export * as Group from "./Group.ts"
export * as Hedge from "./Hedge.ts"
export * as InvalidOptions from "./InvalidOptions.ts"
export * as Pool from "./Pool.ts"
export * as RateLimit from "./RateLimit.ts"
export * as Retry from "./Retry.ts"
export * as RetryBudget from "./RetryBudget.ts"
export * as Stale from "./Stale.ts"
