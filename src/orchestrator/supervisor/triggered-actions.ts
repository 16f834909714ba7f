import type { SupervisorEvent } from './events.ts'
import { setGoal } from './goals.ts'
import type { ProcessGraph } from './rules/graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import { isFinal } from './rules/state.ts'

export interface TriggeredContext {
  readonly graph: () => ProcessGraph<ManagedProcess>
  /** Returns true while everything stops; then no action has an effect. */
  readonly isStopping: () => boolean
  readonly emit: (event: SupervisorEvent) => void
  /** Called after an action, so that the supervisor reconciles. */
  readonly onAction: () => void
}

/** The actions of something outside the processes, such as a changed file. They leave a process that was stopped manually down. */
export class TriggeredActions {
  readonly #context: TriggeredContext

  constructor(context: TriggeredContext) {
    this.#context = context
  }

  /** Restarts processes, except those that wait for their start. `because` is a text such as `src/app.js has changed`. */
  restart(names: readonly string[], because: string): void {
    const { graph, isStopping, emit, onAction } = this.#context
    if (isStopping()) return
    const chosen = graph().named(names).filter(isRestartable)
    for (const { name } of chosen) emit({ type: 'process_restarting', process: name, because })
    setGoal(chosen, 'restarting', Symbol('trigger'))
    onAction()
  }

  /** Stops a running process and starts it again after `waitMs`, without counting an attempt. */
  recycle(name: string, waitMs: number, because: string): void {
    const { graph, isStopping, emit, onAction } = this.#context
    const managed = graph().get(name)
    if (managed === null || managed.pid === null || !isRestartable(managed) || isStopping()) return
    emit({ type: 'process_restarting', process: name, because })
    managed.recycle(waitMs, because)
    onAction()
  }

  /** Starts a task at a time of its schedule. Does nothing and returns false if its last run has not ended. */
  startScheduled(name: string): boolean {
    const { graph, isStopping, onAction } = this.#context
    const managed = graph().get(name)
    if (managed === null || managed.goal.type === 'down' || isStopping()) return true
    if (!isFinal(managed.state)) return false
    managed.reset()
    onAction()
    return true
  }
}

function isRestartable({ goal, state }: ManagedProcess): boolean {
  return goal.type === 'up' && state.type !== 'waiting' && state.type !== 'disabled'
}
