import type { ResolvedProcess } from '../../config/resolved.ts'
import type { ExitResult } from '../events.ts'
import type { RestartDecision } from './restart-policy.ts'

/**
 * The desired state of a process. The reason to be down determines the state after a child that exits meanwhile, and whether
 * the process starts again: only `restarting` becomes `up`, as soon as the process is down.
 */
export type Goal = { readonly type: 'up' } | { readonly type: 'down'; readonly reason: DownReason }
export type DownReason =
  /** A command or `on_dependency_restart` asked for it. */
  | 'restarting'
  | 'by_hand'
  /** A reload removes it or replaces its definition. */
  | 'replaced'
  /** A task failed, and no process that still waits for the end of the task depends on this process. */
  | 'start_failed'
  /** Everything stops. */
  | 'shutting_down'
  /** Everything stops because this process has ended. */
  | 'ended_run'

export const UP: Goal = { type: 'up' }

/** Returns whether the goal is to be down for this reason. */
export function isDownFor({ goal }: { readonly goal: Goal }, reason: DownReason): boolean {
  return goal.type === 'down' && goal.reason === reason
}

/** The state after a stop: stopped, failed permanently, or on the way to the next start, with or without a backoff. */
export type StopOutcome =
  | { readonly type: 'stopped' }
  | { readonly type: 'waiting' }
  | Exclude<RestartDecision, { type: 'completed' }>

/** `attempt` counts consecutive restarts: 0 is the first start. `exit` is the result of the last child, if there was one. */
export type ProcessState =
  /** Waits for its dependencies. */
  | { readonly type: 'waiting' }
  | { readonly type: 'starting'; readonly attempt: number }
  | { readonly type: 'running'; readonly attempt: number; readonly pid: number }
  | { readonly type: 'ready'; readonly attempt: number; readonly pid: number }
  | { readonly type: 'unhealthy'; readonly attempt: number; readonly pid: number; readonly reason: string }
  | {
      readonly type: 'stopping'
      readonly pid: number | null
      readonly exit: ExitResult | null
      readonly outcome: StopOutcome
    }
  | { readonly type: 'stopped'; readonly exit: ExitResult | null }
  | {
      readonly type: 'backoff'
      readonly attempt: number
      readonly waitMs: number
      readonly reason: string
      readonly exit: ExitResult | null
    }
  | { readonly type: 'failed'; readonly reason: string; readonly exit: ExitResult | null }
  | { readonly type: 'completed'; readonly exit: ExitResult }
  | { readonly type: 'skipped'; readonly because: string }
  /** A task with a schedule, before its first run. */
  | { readonly type: 'scheduled' }
  /** Left out of the run; a command can start it. `because` completes `"worker" …`. */
  | { readonly type: 'disabled'; readonly because: string }

export type ProcessEvent =
  /** Its dependencies are met, or its backoff has ended. */
  | { readonly type: 'start' }
  | { readonly type: 'spawned'; readonly pid: number }
  | { readonly type: 'spawn_failed'; readonly decision: RestartDecision }
  /** The child has exited; other members of its process group may still run. `stopped`: its goal was to be down. */
  | { readonly type: 'exited'; readonly exit: ExitResult; readonly decision: RestartDecision | { type: 'stopped' } }
  | { readonly type: 'probe_succeeded' }
  | { readonly type: 'probe_failed'; readonly reason: string }
  | { readonly type: 'stop'; readonly outcome: StopOutcome }
  /** The last member of the process group and all known orphans are gone. */
  | { readonly type: 'group_exited' }
  /** A dependency can never be met. */
  | { readonly type: 'skip'; readonly because: string }
  /** A command starts the process again after it has ended. */
  | { readonly type: 'reset' }

type StateOf<T extends ProcessState['type']> = Extract<ProcessState, { type: T }>
type EventOf<T extends ProcessEvent['type']> = Extract<ProcessEvent, { type: T }>
type Table = {
  readonly [S in ProcessState['type']]: {
    readonly [E in ProcessEvent['type']]?: (state: StateOf<S>, event: EventOf<E>) => ProcessState
  }
}

export const INITIAL_STATE: ProcessState = { type: 'waiting' }

/** Returns the first state of a process. */
export function initialState({ leftOut, schedule }: Pick<ResolvedProcess, 'leftOut' | 'schedule'>): ProcessState {
  if (leftOut !== null) return { type: 'disabled', because: leftOut }
  return schedule === null ? INITIAL_STATE : { type: 'scheduled' }
}

/** Keeps the state: the event was in flight when the state changed, and has no effect. */
const late = (state: ProcessState): ProcessState => state
const toWaiting = (): ProcessState => INITIAL_STATE

function afterDecision(decision: EventOf<'exited'>['decision'], exit: ExitResult | null): ProcessState {
  if (decision.type !== 'completed') return { ...decision, exit }
  return { type: 'completed', exit: exit ?? { code: 0, signal: null } }
}

const afterExit = (_state: ProcessState, event: EventOf<'exited'>) => afterDecision(event.decision, event.exit)

const stopChild = (state: StateOf<'running' | 'ready' | 'unhealthy'>, event: EventOf<'stop'>): ProcessState => ({
  type: 'stopping',
  pid: state.pid,
  exit: null,
  outcome: event.outcome,
})

function afterStop(outcome: StopOutcome, exit: ExitResult | null): ProcessState {
  return outcome.type === 'waiting' ? INITIAL_STATE : { ...outcome, exit }
}

/** Combines two stops: a permanent stop overrides a restart and is never overridden; a failure keeps its reason. */
function stopAgain(state: StateOf<'stopping'>, { outcome }: EventOf<'stop'>): ProcessState {
  return isPermanent(outcome) && !isPermanent(state.outcome) ? { ...state, outcome } : state
}

/** Returns whether the process does not start again by itself after the stop. */
export function isPermanent(outcome: StopOutcome): boolean {
  return outcome.type === 'stopped' || outcome.type === 'failed'
}

/**
 * The lifecycle of one process. Timers, children and probes are outside and only send events.
 *
 * ```
 *  state ╲ event   start      spawned   spawn_failed   exited      probe_succeeded  probe_failed  stop       group_exited  skip     reset
 *  waiting         starting                                                                       (outcome)                skipped
 *  starting                   running   (decision)                                                stopping
 *  running                                             (decision)  ready                          stopping
 *  ready                                               (decision)                   unhealthy     stopping
 *  unhealthy                                           (decision)  ready                          stopping
 *  stopping                             late           stopping    late             late          (again)    (outcome)
 *  backoff         starting                                                                       stopping
 *  stopped                                                                                                                          waiting
 *  failed                                                                                                                           waiting
 *  completed                                                                                                                        waiting
 *  skipped                                                                                                                          waiting
 *  scheduled                                                                                                                        waiting
 *  disabled                                                                                                                         waiting
 *
 *  empty       the event cannot occur: an error
 *  late        the event was in flight when the stop began: the state stays, the same object
 *  (decision)  backoff, failed or completed; stopped, if the goal of the process was to be down
 *  (outcome)   stopped, failed, waiting or backoff, as the stop requested
 *  (again)     stopping; a restart becomes a permanent stop, never the reverse
 * ```
 */
const TABLE: Table = {
  waiting: {
    start: () => ({ type: 'starting', attempt: 0 }),
    stop: (_state, event) => afterStop(event.outcome, null),
    skip: (_state, event) => ({ type: 'skipped', because: event.because }),
  },
  starting: {
    spawned: (state, event) => ({ type: 'running', attempt: state.attempt, pid: event.pid }),
    spawn_failed: (_state, event) => afterDecision(event.decision, null),
    stop: (_state, event) => ({ type: 'stopping', pid: null, exit: null, outcome: event.outcome }),
  },
  running: {
    exited: afterExit,
    probe_succeeded: (state) => ({ ...state, type: 'ready' }),
    stop: stopChild,
  },
  ready: {
    exited: afterExit,
    probe_failed: (state, event) => ({ ...state, type: 'unhealthy', reason: event.reason }),
    stop: stopChild,
  },
  unhealthy: {
    exited: afterExit,
    probe_succeeded: ({ attempt, pid }) => ({ type: 'ready', attempt, pid }),
    stop: stopChild,
  },
  stopping: {
    spawn_failed: late,
    exited: (state, event) => ({ ...state, pid: null, exit: event.exit }),
    probe_succeeded: late,
    probe_failed: late,
    stop: stopAgain,
    group_exited: (state) => afterStop(state.outcome, state.exit),
  },
  backoff: {
    start: (state) => ({ type: 'starting', attempt: state.attempt }),
    stop: (state, event) => ({ type: 'stopping', pid: null, exit: state.exit, outcome: event.outcome }),
  },
  stopped: { reset: toWaiting },
  failed: { reset: toWaiting },
  completed: { reset: toWaiting },
  skipped: { reset: toWaiting },
  scheduled: { reset: toWaiting },
  disabled: { reset: toWaiting },
}

/** Returns the state after `event`; the same object if it has no effect. Throws if it cannot occur. */
export function transition(state: ProcessState, event: ProcessEvent): ProcessState {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table's type ties each cell to its own state and event
  const cell = TABLE[state.type][event.type] as ((state: ProcessState, event: ProcessEvent) => ProcessState) | undefined
  if (cell === undefined) throw new Error(`the event "${event.type}" is not possible in the state "${state.type}"`)
  return cell(state, event)
}

const FINAL: ReadonlySet<ProcessState['type']> = new Set([
  'stopped',
  'failed',
  'completed',
  'skipped',
  'scheduled',
  'disabled',
])

/** Returns whether the process stays in this state until it is reset. */
export function isFinal(state: ProcessState): boolean {
  return FINAL.has(state.type)
}

/** Returns whether no child runs or is about to be started. */
export function isDown(state: ProcessState): boolean {
  return isFinal(state) || state.type === 'waiting'
}
