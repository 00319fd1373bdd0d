import type { ChildProcess } from "node:child_process"
import { asked, heard } from "./children.ts"
import type { Usage } from "./memory.usage.ts"

/** A process that is measured, or that another one needs. */
export interface Running {
  readonly port: number
  readonly usage: () => Usage | Promise<Usage>
  readonly stop: () => void
}

/** A child that says where it listens, answers with what it has used, and ends with whoever asks. */
export const listening = async (child: ChildProcess): Promise<Running> => ({
  port: (await heard<{ port: number }>(child)).port,
  usage: () => asked<Usage>(child, {}),
  stop: () => child.disconnect()
})
