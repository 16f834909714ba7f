import type { Writable } from 'node:stream'
import type { ResolvedConfig } from './config/resolved.ts'
import type { StopReason, SupervisorEvent } from './events.ts'

export interface SupervisorOptions {
  /** Where the children's lines go. Whatever else writes there must write whole lines. */
  readonly output: { readonly stdout: Writable; readonly stderr: Writable }
  readonly logFormat: 'text' | 'json'
  /** Whether prefixes are coloured, for each stream. */
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean }
  /** Any process that ends stops all, and its code is the orchestrator's. */
  readonly abortOnExit: boolean
  /** Name of the process whose end stops all and whose code is the orchestrator's. */
  readonly exitCodeFrom: string | null
  /** Called in order, one event at a time. Must not throw. */
  onEvent(event: SupervisorEvent): void
}

/** The graph in motion: starts, watches, restarts and stops the processes of one configuration. Touches no signals and no process.exit. */
export class Supervisor {
  constructor(_config: ResolvedConfig, _options: SupervisorOptions) {
    throw new Error('to be built')
  }

  /** Resolves when nothing is left: no child, and every line of theirs written (or its reader gone). Call it once. */
  run(): Promise<{ exitCode: number }> {
    throw new Error('to be built')
  }

  /** Stops everything in order. Works in every phase; asking again changes nothing, the first reason counts. */
  stop(_reason: StopReason): void {
    throw new Error('to be built')
  }

  /** SIGKILL to everything at once, synchronously. */
  kill(): void {
    throw new Error('to be built')
  }
}
