import type { Writable } from 'node:stream'
import type { SupervisorEvent } from './events.ts'
import type { StopPlan } from './guard/stop-plan.ts'
import type { SpawnChild } from './child.ts'

export interface SupervisorOptions {
  /** Where the children's lines go. Whatever else writes there must write whole lines. */
  readonly output: { readonly stdout: Writable; readonly stderr: Writable }
  readonly logFormat: 'text' | 'json'
  /** Shows JSON records of the children as readable text on pipes too, not only at a terminal. */
  readonly forceReadable?: boolean
  /** Whether prefixes are coloured, for each stream. */
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean }
  /** Any process that ends stops all, and its code is the orchestrator's. */
  readonly abortOnExit: boolean
  /** Name of the process whose end stops all and whose code is the orchestrator's. */
  readonly exitCodeFrom: string | null
  /** Knows what lives, to end it should the orchestrator be killed. */
  readonly guard?: RunGuard
  /** Starts the children; if not given, as processes of this machine. */
  readonly spawn?: SpawnChild
  /** Called in order, one event at a time. Must not throw. */
  onEvent(event: SupervisorEvent): void
}

export interface RunGuard {
  /** What the variable of every child begins with. */
  readonly mark: string
  /** Called once before anything lives, and then whenever what lives may have changed. */
  protect(makePlan: () => StopPlan): void
}
