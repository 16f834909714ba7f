import type { ExitResult } from './events.ts'

/** What becomes of a process that ended by itself, or that could not be started: decided by `backoff.ts`. */
export type Verdict =
  | { readonly type: 'completed' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'backoff'; readonly attempt: number; readonly waitMs: number }

/**
 * What a stop is for: to stay down, to have failed for good, to wait for its dependencies and start again, or to start
 * again after a wait, as if it had ended by itself.
 */
export type StopOutcome =
  | { readonly type: 'stopped' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'waiting' }
  | { readonly type: 'backoff'; readonly attempt: number; readonly waitMs: number }

/** `attempt` counts the restarts in a row: 0 is the first start. `exit` is how the last child ended, if one ever did. */
export type ProcessState =
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
      readonly exit: ExitResult | null
    }
  | { readonly type: 'failed'; readonly reason: string; readonly exit: ExitResult | null }
  | { readonly type: 'completed'; readonly exit: ExitResult }
  | { readonly type: 'skipped'; readonly because: string }

export type ProcessEvent =
  /** Its dependencies are there, or its wait before a restart is over. */
  | { readonly type: 'start' }
  | { readonly type: 'spawned'; readonly pid: number }
  | { readonly type: 'spawn_failed'; readonly verdict: Verdict }
  /** The child is gone; others of its group may not be. `stopped`: it was to go down anyway. */
  | { readonly type: 'exited'; readonly exit: ExitResult; readonly verdict: Verdict | { readonly type: 'stopped' } }
  | { readonly type: 'probe_succeeded' }
  | { readonly type: 'probe_failed'; readonly reason: string }
  | { readonly type: 'stop'; readonly outcome: StopOutcome }
  /** Nothing of it is left: the last member of its group is gone. */
  | { readonly type: 'emptied' }
  /** What it waits for can never be. */
  | { readonly type: 'skip'; readonly because: string }
  /** Somebody asked for it to be started again. */
  | { readonly type: 'reset' }

type StateOf<T extends ProcessState['type']> = Extract<ProcessState, { type: T }>
type EventOf<T extends ProcessEvent['type']> = Extract<ProcessEvent, { type: T }>
type Table = {
  readonly [S in ProcessState['type']]: {
    readonly [E in ProcessEvent['type']]: (state: StateOf<S>, event: EventOf<E>) => ProcessState
  }
}

export const INITIAL_STATE: ProcessState = { type: 'waiting' }

/** The event says nothing new in this state: it came late, or too early. */
const stay = (state: ProcessState): ProcessState => state
const toWaiting = (): ProcessState => INITIAL_STATE

function judge(verdict: EventOf<'exited'>['verdict'], exit: ExitResult | null): ProcessState {
  if (verdict.type === 'backoff') return { ...verdict, exit }
  if (verdict.type === 'failed' || verdict.type === 'stopped') return { ...verdict, exit }
  return { type: 'completed', exit: exit ?? { code: 0, signal: null } }
}

const toVerdict = (_state: ProcessState, event: EventOf<'exited'>): ProcessState => judge(event.verdict, event.exit)

const stopChild = (state: StateOf<'running' | 'ready' | 'unhealthy'>, event: EventOf<'stop'>): ProcessState => ({
  type: 'stopping',
  pid: state.pid,
  exit: null,
  outcome: event.outcome,
})

function settle(outcome: StopOutcome, exit: ExitResult | null): ProcessState {
  if (outcome.type === 'waiting') return INITIAL_STATE
  return { ...outcome, exit }
}

/** A stop for good is never turned into a restart or forgotten by a later request; a failure keeps its reason. */
function stopAgain(state: StateOf<'stopping'>, { outcome }: EventOf<'stop'>): ProcessState {
  return isForGood(outcome) && !isForGood(state.outcome) ? { ...state, outcome } : state
}

function isForGood(outcome: StopOutcome): boolean {
  return outcome.type === 'stopped' || outcome.type === 'failed'
}

/** Of one that has not started only a stop for good changes anything. */
function stopWaiting(state: StateOf<'waiting'>, { outcome }: EventOf<'stop'>): ProcessState {
  return isForGood(outcome) ? settle(outcome, null) : state
}

const final = {
  start: stay,
  spawned: stay,
  spawn_failed: stay,
  exited: stay,
  probe_succeeded: stay,
  probe_failed: stay,
  stop: stay,
  emptied: stay,
  skip: stay,
  reset: toWaiting,
} as const

/**
 * The life of one process. Timers, children and probes live outside and only send events.
 *
 * ```
 *  state ╲ event   start      spawned   spawn_failed   exited    probe_succeeded  probe_failed  stop      emptied     skip     reset
 *  waiting         starting   ·         ·              ·         ·                ·             (outcome) ·           skipped  ·
 *  starting        ·          running   (verdict)      ·         ·                ·             stopping  ·           ·        ·
 *  running         ·          ·         ·              (verdict) ready            ·             stopping  ·           ·        ·
 *  ready           ·          ·         ·              (verdict) ·                unhealthy     stopping  ·           ·        ·
 *  unhealthy       ·          ·         ·              (verdict) ready            ·             stopping  ·           ·        ·
 *  stopping        ·          stopping  ·              stopping  ·                ·             (again)   (outcome)   ·        ·
 *  backoff         starting   ·         ·              ·         ·                ·             stopping  ·           ·        ·
 *  stopped         ·          ·         ·              ·         ·                ·             ·         ·           ·        waiting
 *  failed          ·          ·         ·              ·         ·                ·             ·         ·           ·        waiting
 *  completed       ·          ·         ·              ·         ·                ·             ·         ·           ·        waiting
 *  skipped         ·          ·         ·              ·         ·                ·             ·         ·           ·        waiting
 *
 *  ·          the state stays, the same object
 *  (verdict)  backoff, failed or completed; stopped, if it was to go down anyway
 *  (outcome)  stopped, failed, waiting or backoff, as the stop asked for; a process that waits is not stopped to start again
 *  (again)    stopping; a stop for a restart becomes one for good, never the other way round
 * ```
 */
const TABLE: Table = {
  waiting: {
    start: () => ({ type: 'starting', attempt: 0 }),
    spawned: stay,
    spawn_failed: stay,
    exited: stay,
    probe_succeeded: stay,
    probe_failed: stay,
    stop: stopWaiting,
    emptied: stay,
    skip: (_state, event) => ({ type: 'skipped', because: event.because }),
    reset: stay,
  },
  starting: {
    start: stay,
    spawned: (state, event) => ({ type: 'running', attempt: state.attempt, pid: event.pid }),
    spawn_failed: (_state, event) => judge(event.verdict, null),
    exited: stay,
    probe_succeeded: stay,
    probe_failed: stay,
    stop: (_state, event) => ({ type: 'stopping', pid: null, exit: null, outcome: event.outcome }),
    emptied: stay,
    skip: stay,
    reset: stay,
  },
  running: {
    start: stay,
    spawned: stay,
    spawn_failed: stay,
    exited: toVerdict,
    probe_succeeded: (state) => ({ ...state, type: 'ready' }),
    probe_failed: stay,
    stop: stopChild,
    emptied: stay,
    skip: stay,
    reset: stay,
  },
  ready: {
    start: stay,
    spawned: stay,
    spawn_failed: stay,
    exited: toVerdict,
    probe_succeeded: stay,
    probe_failed: (state, event) => ({ ...state, type: 'unhealthy', reason: event.reason }),
    stop: stopChild,
    emptied: stay,
    skip: stay,
    reset: stay,
  },
  unhealthy: {
    start: stay,
    spawned: stay,
    spawn_failed: stay,
    exited: toVerdict,
    probe_succeeded: ({ attempt, pid }) => ({ type: 'ready', attempt, pid }),
    probe_failed: stay,
    stop: stopChild,
    emptied: stay,
    skip: stay,
    reset: stay,
  },
  stopping: {
    start: stay,
    spawned: (state, event) => ({ ...state, pid: event.pid }),
    spawn_failed: stay,
    exited: (state, event) => ({ ...state, pid: null, exit: event.exit }),
    probe_succeeded: stay,
    probe_failed: stay,
    stop: stopAgain,
    emptied: (state) => settle(state.outcome, state.exit),
    skip: stay,
    reset: stay,
  },
  backoff: {
    start: (state) => ({ type: 'starting', attempt: state.attempt }),
    spawned: stay,
    spawn_failed: stay,
    exited: stay,
    probe_succeeded: stay,
    probe_failed: stay,
    stop: (state, event) => ({ type: 'stopping', pid: null, exit: state.exit, outcome: event.outcome }),
    emptied: stay,
    skip: stay,
    reset: stay,
  },
  stopped: final,
  failed: final,
  completed: final,
  skipped: final,
}

/** The state after `event`; the same object if the event says nothing new. */
export function transition(state: ProcessState, event: ProcessEvent): ProcessState {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table's type ties each cell to its own state and event
  const cell = TABLE[state.type][event.type] as (state: ProcessState, event: ProcessEvent) => ProcessState
  return cell(state, event)
}

/** Nothing more will happen to it by itself. */
export function isFinal(state: ProcessState): boolean {
  return state.type === 'stopped' || state.type === 'failed' || state.type === 'completed' || state.type === 'skipped'
}

/** Nothing of it runs and nothing of it is on its way up. */
export function isDown(state: ProcessState): boolean {
  return isFinal(state) || state.type === 'waiting'
}
