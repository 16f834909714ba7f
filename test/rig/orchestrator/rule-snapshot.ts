import type { DependencyCondition } from '../../../src/orchestrator/config/resolved.ts'
import { ProcessGraph } from '../../../src/orchestrator/supervisor/rules/graph.ts'
import type {
  Action,
  ReconciledProcess,
  Snapshot,
  StartRequest,
} from '../../../src/orchestrator/supervisor/rules/snapshot.ts'
import {
  type DownReason,
  type Goal,
  isDown,
  type ProcessState,
  UP,
} from '../../../src/orchestrator/supervisor/rules/state.ts'
import { configOf, type ProcessSketch } from './supervised-graph.ts'

/** The exit of a child that has failed. */
export const exit = { code: 1, signal: null } as const
const success = { code: 0, signal: null } as const
/** An example of each state, and of the stops that differ in their outcome. */
const STATES = {
  waiting: { type: 'waiting' },
  starting: { type: 'starting', attempt: 0 },
  running: { type: 'running', attempt: 0, pid: 7 },
  'running again': { type: 'running', attempt: 1, pid: 7 },
  ready: { type: 'ready', attempt: 0, pid: 7 },
  unhealthy: { type: 'unhealthy', attempt: 0, pid: 7, reason: 'no answer' },
  stopping: { type: 'stopping', pid: 7, exit: null, outcome: { type: 'stopped' } },
  failing: { type: 'stopping', pid: 7, exit: null, outcome: { type: 'failed', reason: 'too slow' } },
  'stopping to wait': { type: 'stopping', pid: 7, exit: null, outcome: { type: 'waiting' } },
  stopped: { type: 'stopped', exit },
  backoff: { type: 'backoff', attempt: 1, waitMs: 5, reason: 'exited with code 1', exit },
  failed: { type: 'failed', reason: 'exited with code 1', exit },
  completed: { type: 'completed', exit: success },
  skipped: { type: 'skipped', because: 'x' },
  scheduled: { type: 'scheduled' },
  disabled: { type: 'disabled', because: 'was left out' },
} satisfies Record<string, ProcessState>
export type StateName = keyof typeof STATES

export const down = (reason: DownReason): Goal => ({ type: 'down', reason })
export const BY_HAND = down('by_hand')
export const RESTARTING = down('restarting')

/** A process without a child: the properties that the rules read, set by the test. */
export interface Sketch extends Omit<ProcessSketch, 'command' | 'dependsOn' | 'name'> {
  readonly state?: StateName
  readonly goal?: Goal
  readonly backoffIsOver?: boolean
  readonly needsReaping?: boolean
  readonly isFullyStopped?: boolean
  readonly request?: StartRequest
  readonly hasBeenUp?: boolean
  readonly hasRun?: boolean
  readonly startedAt?: number
  /** Names of dependencies, each with the condition `started`, or with the condition after a colon. */
  readonly needs?: readonly string[]
}

function isCondition(text: string | undefined): text is DependencyCondition {
  return text !== undefined
}

function dependencyOf(text: string): { name: string; condition: DependencyCondition } {
  const [name = '', condition] = text.split(':')
  return { name, condition: isCondition(condition) ? condition : 'started' }
}

/** Returns the snapshot of these processes in the phase `up`, with nothing else to do, unless `over` says otherwise. */
export function snapshotOf(
  sketches: Readonly<Record<string, Sketch>>,
  over: Partial<Snapshot<ReconciledProcess>> & { readonly providedBy?: string } = {},
): Snapshot<ReconciledProcess> {
  const { providedBy, ...rest } = over
  const processes = Object.entries(sketches).map(
    ([
      name,
      {
        state: _state,
        goal: _goal,
        needs = [],
        backoffIsOver: _over,
        needsReaping: _needs,
        isFullyStopped: _is,
        request: _request,
        hasBeenUp: _up,
        hasRun: _run,
        startedAt: _at,
        ...sketch
      },
    ]) => ({
      ...sketch,
      name,
      command: 'true',
      dependsOn: needs.map(dependencyOf),
    }),
  )
  const config = configOf(processes, { required: true, providedBy: providedBy ?? null })
  const graph = new ProcessGraph<ReconciledProcess>(config, (definition) => {
    const sketch = sketches[definition.name] ?? {}
    const state = STATES[sketch.state ?? 'waiting']
    return {
      name: definition.name,
      definition,
      state,
      goal: sketch.goal ?? UP,
      backoffIsOver: sketch.backoffIsOver ?? false,
      needsReaping: sketch.needsReaping ?? false,
      isFullyStopped: sketch.isFullyStopped ?? isDown(state),
      request: sketch.request ?? null,
      hasBeenUp: sketch.hasBeenUp ?? false,
      hasRun: sketch.hasRun ?? false,
      startedAt: sketch.startedAt ?? null,
    }
  })
  return {
    phase: 'up',
    announced: 'none',
    isHeld: false,
    graph,
    external: 'reachable',
    failures: [],
    isReloading: false,
    now: 0,
    ...rest,
  }
}

function describeAction(action: Action<ReconciledProcess>): string {
  if (action.type === 'stop') return `stop ${action.managed.name} → ${action.outcome.type}`
  if (action.type === 'skip') return `skip ${action.managed.name}: ${action.because}`
  if (action.type === 'set_goal') {
    return `set_goal ${action.managed.name} → ${action.goal.type === 'up' ? 'up' : action.goal.reason}`
  }
  if (action.type === 'set_request')
    return `set_request ${action.managed.name} → ${String(action.request?.description)}`
  if (action.type === 'stop_all') return `stop_all: ${action.reason.type}`
  if (action.type === 'report_failure') return `report_failure ${action.failure.process}`
  return 'managed' in action ? `${action.type} ${action.managed.name}` : action.type
}

/** Describes actions, as `start a`, `stop b → waiting`, `set_goal c → restarting` … */
export const actionsOf = (actions: readonly Action<ReconciledProcess>[]) => actions.map(describeAction)
