import type { Writable } from 'node:stream'
import type { SpawnChild } from './child.ts'
import type { SupervisorEvent } from './events.ts'
import type { StopPlan } from './guard/stop-plan.ts'

export interface SupervisorOptions {
  /** The destination of the children's lines. Other writers must write whole lines. */
  readonly output: { readonly stdout: Writable; readonly stderr: Writable }
  readonly logFormat: 'text' | 'json'
  /** Shows JSON records of the children as readable text even on pipes. */
  readonly forceReadable?: boolean
  /** Whether prefixes are coloured, for each stream. */
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean }
  /** The first exit of any process stops all, and its code is the orchestrator's. */
  readonly abortOnExit: boolean
  /** The exit of this process stops all, and its code is the orchestrator's. */
  readonly exitCodeFrom: string | null
  /** Ends the children if the orchestrator is killed. */
  readonly guard?: RunGuard
  /** Starts the children; operating system processes by default. */
  readonly spawn?: SpawnChild
  /** Called in order, one event at a time. Must not throw. */
  onEvent(event: SupervisorEvent): void
}

export interface RunGuard {
  /** Prefix of the run tag of every child. */
  readonly runTag: string
  /** Called once before the first child starts, and then whenever the running children may have changed. */
  protect(makePlan: () => StopPlan): void
}
