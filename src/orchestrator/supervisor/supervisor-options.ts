import type { SpawnChild } from './child/child.ts'
import type { SupervisorEvent } from './events.ts'
import type { StopPlan } from './guard/stop-plan.ts'
import type { OutputOptions } from './output/output.ts'

export interface SupervisorOptions extends OutputOptions {
  /** The first exit of any process stops all, and its code is the orchestrator's. */
  readonly abortOnExit: boolean
  /** The exit of this process stops all, and its code is the orchestrator's. */
  readonly exitCodeFrom: string | null
  /** Ends the children if the orchestrator is killed. */
  readonly guard?: {
    /** Prefix of the run tag of every child. */
    readonly runTag: string
    /** Called once before the first child starts, and then whenever the running children may have changed. */
    protect(makePlan: () => StopPlan): void
  }
  /** Starts the children; operating system processes by default. */
  readonly spawn?: SpawnChild
  /** Returns the next time at which the schedule of a task runs it; null if there is none. */
  readonly nextRun?: (name: string) => Date | null
  /** Called in order, one event at a time. Must not throw. */
  onEvent(event: SupervisorEvent): void
}
