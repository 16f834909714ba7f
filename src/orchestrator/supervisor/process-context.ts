import type { ExitResult, SupervisorEvent } from './events.ts'
import type { ManagedProcess } from './managed-process.ts'
import type { Output } from './output/output.ts'
import type { SpawnChild } from './child.ts'
import type { ProcessState } from './state.ts'

/** What a process needs of its supervisor. */
export interface ProcessContext {
  readonly output: Output
  readonly spawn: SpawnChild
  /** What begins the value of the variable that marks its children and all that they start; a slash and a number follow. */
  readonly mark: string
  emit(event: SupervisorEvent): void
  /** Its state is another one than `before`: others may be able to start or stop now. */
  changed(process: ManagedProcess, before: ProcessState): void
  /** Whether it may start again now that its wait is over; if not, `restartIfDue` is called when it may. */
  mayRestart(process: ManagedProcess): boolean
  /** What it is after this end if it is not to be restarted: it is to go down anyway, or its end is to end everything. */
  staysDown(process: ManagedProcess, exit: ExitResult): 'stopped' | 'completed' | null
  /**
   * Ends what the first so many of its children left behind outside of their groups. Resolves when it is gone, or is left to
   * the end of the run.
   */
  endEscaped(process: ManagedProcess, children: number): Promise<void>
  /** It has ended, and stays down. */
  wentDown(process: ManagedProcess, exit: ExitResult): void
  /** Its very first start failed. */
  couldNotStart(process: ManagedProcess, message: string): void
  /** It has failed for good, by its end or by a start that failed later. */
  failed(process: ManagedProcess, reason: string): void
  /** It was not ready in time. */
  gaveUp(process: ManagedProcess, message: string): void
}
