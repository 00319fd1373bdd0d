import type { Report } from "./report.ts"
export const about = ""
export const run = async (_: { rounds?: number }): Promise<Omit<Report, "bench" | "node">> => ({ rounds: 0, tables: {} })
