import type { StopReason } from './events.ts'
import type { ManagedProcess } from './managed-process.ts'
import type { ProcessGraph } from './graph.ts'

/** What it can do with the graph in motion. */
export interface FailureMotion {
  readonly graph: () => ProcessGraph
  /** Stops everything in order: it has failed. */
  readonly stop: (reason: StopReason) => void
  /** Stops these, dependents first, for good. */
  readonly doom: (processes: readonly ManagedProcess[]) => void
}

/** What the failure of one process means for all. */
export class Failures {
  readonly #motion: FailureMotion

  constructor(motion: FailureMotion) {
    this.#motion = motion
  }

  /** Its very first start failed: its dependents are skipped, everything is stopped. */
  couldNotStart(process: ManagedProcess, message: string): void {
    this.#motion.graph().skipHopeless()
    this.#motion.stop({ type: 'start_failed', process: process.name, message })
  }

  /** It was not ready in time. */
  gaveUp(process: ManagedProcess, message: string): void {
    const isNeeded = process.definition.kind === 'task' || this.#motion.graph().hasWaitingDependents(process)
    if (isNeeded) this.couldNotStart(process, message)
    else this.failed(process, message)
  }

  /** It has failed for good. */
  failed(process: ManagedProcess, reason: string): void {
    const { whenFailed, kind } = process.definition
    if (whenFailed === 'stop') this.#motion.stop({ type: 'process_failed', process: process.name, reason })
    else if (kind === 'task') this.#taskFailed(process, reason)
  }

  /** What waits for the end of a task, however it ends, still runs, and what that needs stays up; all else is stopped. */
  #taskFailed(task: ManagedProcess, reason: string): void {
    const graph = this.#motion.graph()
    graph.skipHopeless()
    const kept = graph.waitingAfter(task)
    if (kept.size === 0) this.couldNotStart(task, reason)
    else this.#motion.doom(graph.all.filter((process) => !kept.has(process)))
  }
}
