import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { configOf, type ProcessSketch } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import type { DependencyCondition } from '../../config/resolved.ts'
import { reachable } from '../../config/dependency-graph.ts'
import { isUp, ProcessGraph } from './graph.ts'
import type { Announcement } from './snapshot.ts'
import { exitCodeOf } from './exit-code.ts'
import { resumeSkipped, settleFailures, skipHopeless } from './failure-rules.ts'
import {
  announceReady,
  checkExternal,
  endRun,
  finishRestarts,
  finishStart,
  isSettled,
  reconcile,
  restartFollowers,
  startProcesses,
  stopProcesses,
} from './reconcile.ts'
import type { Action, Failure, ReconciledProcess, Snapshot, StartRequest } from './snapshot.ts'
import {
  type DownReason,
  type Goal,
  initialState,
  isDown,
  isFinal,
  type ProcessState,
  transition,
  UP,
} from './state.ts'

const exit = { code: 1, signal: null } as const
const success = { code: 0, signal: null } as const
const STATES = {
  waiting: { type: 'waiting' },
  starting: { type: 'starting', attempt: 0 },
  running: { type: 'running', attempt: 0, pid: 7 },
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
type StateName = keyof typeof STATES

const down = (reason: DownReason): Goal => ({ type: 'down', reason })
const BY_HAND = down('by_hand')
const RESTARTING = down('restarting')

/** A process without a child: the properties that the rules read, set by the test. */
interface Sketch extends Omit<ProcessSketch, 'command' | 'dependsOn' | 'name'> {
  readonly state?: StateName
  readonly goal?: Goal
  readonly backoffIsOver?: boolean
  readonly needsReaping?: boolean
  readonly isFullyStopped?: boolean
  readonly request?: StartRequest
  readonly hasBeenUp?: boolean
  readonly hasRun?: boolean
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

function snapshotOf(
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
    ...rest,
  }
}

/** `start a`, `stop b → waiting`, `set_goal c → restarting` … */
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

const actionsOf = (actions: readonly Action<ReconciledProcess>[]) => actions.map(describeAction)

describe('skipHopeless', () => {
  test('skips the dependents of a failed process, and then their dependents, regardless of the order of the file', () => {
    const snapshot = snapshotOf({
      web: { needs: ['api:ready'] },
      api: { needs: ['migrate:completed_successfully'] },
      migrate: { kind: 'task', state: 'failed' },
    })
    expect(actionsOf(skipHopeless(snapshot))).toEqual([
      'skip api: "migrate" exited with code 1',
      'skip web: "api" was skipped',
    ])
  })

  test.each<[string, StateName, boolean]>([
    ['a:completed', 'failed', false],
    ['a:started', 'failed', true],
    ['a:started', 'skipped', true],
    ['a:started', 'backoff', false],
    ['a:started', 'stopped', false],
    ['a:completed_successfully', 'disabled', false],
    ['a:completed', 'running', false],
    ['missing:ready', 'failed', false],
  ])('evaluates the dependency %s in state %s: skipped %s', (need, state, isSkipped) => {
    const snapshot = snapshotOf({ a: { state }, b: { needs: [need] } })
    expect(skipHopeless(snapshot)).toHaveLength(isSkipped ? 1 : 0)
  })
})

describe('settleFailures', () => {
  const failure = (cause: Failure['cause'], process = 'a'): Failure => ({ process, reason: 'r', cause })
  const failed = { state: 'failed' } as const
  const stop = { ...failed, whenFailed: 'stop' } as const
  const task = { ...failed, kind: 'task' } as const
  const run = { ...task, schedule: '@daily' }
  const user = { needs: ['a:ready'] }
  const rows: readonly [
    string,
    Snapshot<ReconciledProcess>['phase'],
    Failure['cause'],
    Record<string, Sketch>,
    string[],
  ][] = [
    ['the first start of a process fails the start', 'starting', 'spawn', { a: failed }, ['stop_all: start_failed']],
    ['a failed command after the start is isolated', 'up', 'spawn', { a: failed }, ['report_failure a']],
    ['… unless it is to stop all', 'up', 'spawn', { a: stop }, ['report_failure a', 'stop_all: process_failed']],
    ['a startup time-out that nothing waits for is isolated', 'starting', 'startup_timeout', { a: failed }, []],
    [
      'one that a dependent waits for fails the start',
      'starting',
      'startup_timeout',
      { a: failed, b: user },
      ['skip b: "a" exited with code 1', 'stop_all: start_failed'],
    ],
    [
      'one after the start is isolated',
      'up',
      'startup_timeout',
      { a: failed, b: user },
      ['skip b: "a" exited with code 1'],
    ],
    ['a task fails the start', 'starting', 'run', { a: task }, ['stop_all: start_failed']],
    ['a task after the start is isolated', 'up', 'run', { a: task }, []],
    ['a task that a command starts is isolated', 'starting', 'run', { a: { ...task, request: Symbol('start') } }, []],
    ['a task that runs again is isolated', 'starting', 'run', { a: { ...task, hasBeenUp: true } }, []],
    [
      'a process that a reload brings is isolated',
      'starting',
      'spawn',
      { a: { ...failed, request: Symbol('reload') } },
      ['report_failure a'],
    ],
    ['a service is isolated', 'starting', 'run', { a: failed }, []],
    ['a run of a schedule is isolated', 'starting', 'run', { a: run }, []],
    ['a run of a schedule without its command is isolated', 'starting', 'spawn', { a: run }, ['report_failure a']],
    ['a service stops all if it is to', 'starting', 'run', { a: stop }, ['stop_all: process_failed']],
    [
      'what waits for the end of a task is kept with its dependencies, all others stop',
      'starting',
      'run',
      { a: task, after: { needs: ['a:completed', 'db'] }, db: { state: 'running' }, other: { state: 'running' } },
      ['set_goal other → start_failed'],
    ],
    ['nothing further while all stop', 'stopping', 'spawn', { a: stop }, []],
  ]

  test.each(rows)('decides by this case: %s', (_title, phase, cause, sketches, expected) => {
    const actions = settleFailures(snapshotOf(sketches, { phase, failures: [failure(cause)] }))
    expect(actionsOf(actions)).toEqual(['forget_failures', ...expected])
  })
})

describe('restartFollowers', () => {
  const follower = (needs: string, state: StateName = 'running', goal: Goal = UP): Sketch => ({
    needs: [needs],
    state,
    goal,
    onDependencyRestart: 'restart',
  })

  test.each<[string, Sketch, boolean]>([
    ['in backoff', { state: 'backoff' }, true],
    ['stopping to come up again', { state: 'stopping to wait' }, true],
    ['to restart', { state: 'running', goal: RESTARTING }, true],
    ['replaced by a reload', { state: 'running', goal: down('replaced') }, true],
    ['to be stopped manually', { state: 'running', goal: BY_HAND }, true],
    ['stopping after a failure', { state: 'failing' }, false],
    ['to stop because the start failed', { state: 'running', goal: down('start_failed') }, false],
    ['running', { state: 'running' }, false],
    ['failed', { state: 'failed', hasRun: true }, false],
    ['stopped manually', { state: 'stopped', goal: BY_HAND, hasRun: true }, false],
    ['waiting for its first start', { state: 'waiting' }, false],
    ['waiting to start again', { state: 'waiting', hasRun: true }, true],
  ])('restarts the followers of a dependency that is %s: %o', (_title, dependency, restarts) => {
    const actions = restartFollowers(snapshotOf({ db: dependency, web: follower('db') }))
    expect(actionsOf(actions)).toEqual(restarts ? ['set_goal web → restarting'] : [])
  })

  //  web ── migrate (task) ── db
  test('restarts followers through a completed task, and a completed task that follows', () => {
    const through = (migrate: Sketch) =>
      actionsOf(
        restartFollowers(
          snapshotOf({
            db: { state: 'backoff' },
            migrate: { kind: 'task', state: 'completed', needs: ['db'], ...migrate },
            web: follower('migrate:completed_successfully'),
          }),
        ),
      )
    expect(through({})).toEqual(['set_goal web → restarting'])
    expect(through({ onDependencyRestart: 'restart' })).toEqual([
      'set_goal migrate → restarting',
      'set_goal web → restarting',
    ])
    expect(through({ state: 'failed' })).toEqual([])
  })

  test('makes followers part of the request', () => {
    const db: Sketch = { state: 'running', goal: RESTARTING, request: Symbol('restart') }
    expect(actionsOf(restartFollowers(snapshotOf({ db, web: follower('db') })))).toEqual([
      'set_goal web → restarting',
      'set_request web → restart',
    ])
  })

  test('restarts followers of followers, but no other processes and none that are down', () => {
    const snapshot = snapshotOf({
      db: { state: 'backoff' },
      api: follower('db'),
      web: follower('api'),
      log: { state: 'running', needs: ['db'] },
      late: follower('db', 'waiting'),
      held: follower('db', 'running', BY_HAND),
    })
    expect(actionsOf(restartFollowers(snapshot))).toEqual(['set_goal api → restarting', 'set_goal web → restarting'])
    expect(restartFollowers({ ...snapshot, phase: 'stopping' })).toEqual([])
  })
})

describe('finishRestarts', () => {
  test.each<[string, Sketch, string[]]>([
    ['that waits', { state: 'waiting' }, ['set_goal a → up']],
    ['that has ended', { state: 'completed' }, ['set_goal a → up', 'reset a']],
    ['that still runs', { state: 'running' }, []],
    ['whose process group still lives', { state: 'completed', isFullyStopped: false }, []],
    ['that may have orphans', { state: 'completed', needsReaping: true }, []],
  ])('handles a process %s', (_title, sketch, expected) => {
    expect(actionsOf(finishRestarts(snapshotOf({ a: { ...sketch, goal: RESTARTING } })))).toEqual(expected)
    expect(finishRestarts(snapshotOf({ a: { ...sketch, goal: BY_HAND } }))).toEqual([])
  })
})

describe('checkExternal', () => {
  const check = (over: Parameters<typeof snapshotOf>[1], state: StateName = 'running') =>
    actionsOf(checkExternal(snapshotOf({ broker: { state } }, { phase: 'starting', external: 'unchecked', ...over })))

  test('checks the address once, when the process that provides it is ready', () => {
    expect(check({})).toEqual(['check_external'])
    expect(check({ external: 'checking' })).toEqual([])
    expect(check({ phase: 'stopping' })).toEqual([])
    expect(check({ providedBy: 'broker' })).toEqual(['check_external'])
    expect(check({ providedBy: 'broker' }, 'starting')).toEqual([])
  })

  test.each([
    ['unchecked', 'waiting', ['check_external']],
    ['unchecked', 'running', []],
    ['unreachable', 'skipped', ['forget_external']],
  ] as const)('concerns only users after the start: %s, user %s', (external, state, expected) => {
    const snapshot = snapshotOf({ user: { state, usesExternal: true } }, { external, phase: 'up' })
    expect(actionsOf(checkExternal(snapshot))).toEqual(expected)
  })

  test('fails the start if the address is unreachable, and skips its users later', () => {
    const up = snapshotOf({ user: { state: 'waiting', usesExternal: true } }, { external: 'unreachable' })
    expect(actionsOf(reconcile({ ...up, phase: 'starting' }))).toEqual(['fail_external'])
    const skip = 'skip user: the MQTT broker at 127.0.0.1:1 is unreachable'
    expect(actionsOf(reconcile(up))).toEqual([skip])
  })

  test('resumes skipped users when the address is reachable', () => {
    const skipped = snapshotOf({ user: { state: 'skipped', usesExternal: true } }, { external: 'unchecked' })
    expect(resumeSkipped(skipped)).toEqual([])
    expect(actionsOf(resumeSkipped({ ...skipped, external: 'reachable' }))).toEqual(['reset user'])
  })
})

describe('startProcesses', () => {
  test.each<[string, Sketch, Sketch, boolean]>([
    ['dependency met', { needs: ['db'] }, { state: 'running', goal: UP }, true],
    ['dependency pending', { needs: ['db'] }, { state: 'starting' }, false],
    ['dependency about to stop', { needs: ['db'] }, { state: 'running', goal: RESTARTING }, false],
    [
      'dependency completed although its goal is to be down',
      { needs: ['db:completed'] },
      { state: 'completed', goal: BY_HAND },
      true,
    ],
    ['its goal is to be down', { goal: BY_HAND }, {}, false],
    ['dependency left out', { needs: ['db:completed_successfully'] }, { state: 'disabled', goal: UP }, true],
    ['left out', { state: 'disabled' }, {}, false],
    ['backoff over', { state: 'backoff', backoffIsOver: true }, { state: 'failed' }, true],
    ['backoff not over', { state: 'backoff' }, {}, false],
    ['running', { state: 'running' }, {}, false],
    ['final', { state: 'stopped' }, {}, false],
  ])('decides by this state: %s', (_title, sketch, db, starts) => {
    const started = actionsOf(startProcesses(snapshotOf({ db: { goal: BY_HAND, ...db }, a: sketch })))
    expect(started).toEqual(starts ? ['start a'] : [])
  })

  //  web ── migrate (task) ── db
  test.each<[string, Sketch, boolean]>([
    ['is up', { state: 'running' }, true],
    ['is about to restart', { state: 'running', goal: RESTARTING }, false],
    ['is in backoff', { state: 'backoff' }, false],
    ['is stopped', { state: 'stopped', goal: BY_HAND }, false],
    ['has failed', { state: 'failed' }, true],
  ])('starts a process that follows through a completed task if the dependency %s: %s', (_title, db, starts) => {
    const migrate: Sketch = { kind: 'task', state: 'completed', needs: ['db'] }
    const needs = ['migrate:completed_successfully']
    const snapshot = snapshotOf({ db, migrate, web: { needs, onDependencyRestart: 'restart' }, other: { needs } })
    expect(actionsOf(startProcesses(snapshot))).toEqual(starts ? ['start web', 'start other'] : ['start other'])
  })

  test('does not start a dependency before the dependents that restart with it are down', () => {
    const db: Sketch = { state: 'backoff', backoffIsOver: true }
    const web: Sketch = { state: 'running', needs: ['db'] }
    expect(startProcesses(snapshotOf({ db, web: { ...web, goal: RESTARTING } }))).toEqual([])
    expect(actionsOf(startProcesses(snapshotOf({ db, web: { ...web, goal: BY_HAND } })))).toEqual(['start db'])
  })

  test('starts a user of the external address only when the address is reachable', () => {
    const sketches = { user: { usesExternal: true }, other: {} }
    const startsWith = (external: Snapshot<ReconciledProcess>['external']) =>
      actionsOf(startProcesses(snapshotOf(sketches, { external })))
    expect(startsWith('checking')).toEqual(['start other'])
    expect(startsWith('unreachable')).toEqual(['start other'])
    expect(startsWith('reachable')).toEqual(['start user', 'start other'])
  })
})

describe('announceReady', () => {
  test('announces once that every process is up', () => {
    const sketches: Record<string, Sketch> = {
      a: { state: 'running' },
      task: { kind: 'task', state: 'completed' },
      out: { state: 'disabled' },
      later: { kind: 'task', state: 'scheduled', schedule: '@daily' },
      failedRun: { kind: 'task', state: 'failed', schedule: '@daily' },
    }
    expect(actionsOf(announceReady(snapshotOf(sketches, { phase: 'starting' })))).toEqual(['announce_ready'])
    expect(actionsOf(announceReady(snapshotOf(sketches)))).toEqual(['announce_ready'])
    expect(announceReady(snapshotOf(sketches, { announced: 'ready' }))).toEqual([])
    expect(announceReady(snapshotOf(sketches, { phase: 'stopping' }))).toEqual([])
    const incomplete: Record<string, Sketch> = { ...sketches, b: { state: 'failed' }, c: { state: 'skipped' } }
    expect(announceReady(snapshotOf(incomplete, { phase: 'starting' }))).toEqual([])
    expect(actionsOf(announceReady(snapshotOf(incomplete)))).toEqual(['announce_incomplete'])
    expect(announceReady(snapshotOf(incomplete, { announced: 'incomplete' }))).toEqual([])
    expect(announceReady(snapshotOf({ ...incomplete, d: { state: 'backoff' } }))).toEqual([])
    expect(announceReady(snapshotOf({ b: { state: 'failed' } }))).toEqual([])
    const withTask = { ...sketches, task: { kind: 'task', state: 'running' } as const }
    expect(announceReady(snapshotOf(withTask, { phase: 'starting' }))).toEqual([])
  })
})

describe('finishStart', () => {
  test.each<[string, Record<string, Sketch>, boolean]>([
    ['every process has been up', { a: { state: 'running' }, b: { state: 'backoff' } }, true],
    ['one has never been up', { a: { state: 'running' }, b: { state: 'backoff', hasBeenUp: false } }, false],
    [
      'one that has never been up has ended',
      { a: { state: 'running' }, b: { state: 'failed', hasBeenUp: false } },
      true,
    ],
    ['one is left out', { a: { state: 'running' }, b: { state: 'disabled', hasBeenUp: false } }, true],
  ])('decides by this case: %s', (_title, sketches, isOver) => {
    const given = Object.entries(sketches).map(([name, sketch]) => [name, { hasBeenUp: true, ...sketch }] as const)
    const snapshot = snapshotOf(Object.fromEntries(given), { phase: 'starting' })
    expect(actionsOf(finishStart(snapshot))).toEqual(isOver ? ['finish_start'] : [])
    expect(finishStart({ ...snapshot, phase: 'up' })).toEqual([])
  })
})

describe('resumeSkipped', () => {
  const request = Symbol('reload')

  test.each<[string, Sketch, string[]]>([
    ['still failed', { state: 'failed' }, []],
    ['starts by a request', { state: 'waiting', request }, ['set_request web → reload', 'reset web']],
    ['starts again', { state: 'starting' }, ['reset web']],
    ['has completed', { state: 'completed', kind: 'task' }, ['reset web']],
  ])('handles a skipped process whose dependency %s', (_title, dependency, expected) => {
    const web: Sketch = { state: 'skipped', needs: ['db:completed_successfully'] }
    expect(actionsOf(resumeSkipped(snapshotOf({ db: dependency, web })))).toEqual(expected)
    expect(resumeSkipped(snapshotOf({ db: dependency, web: { ...web, goal: BY_HAND } }))).toEqual([])
  })
})

describe('stopProcesses', () => {
  const phase = 'stopping'
  const goal = down('shutting_down')

  test.each<[StateName, string | null, string | null]>([
    ['waiting', 'stop a → stopped', null],
    ['starting', 'stop a → stopped', 'stop a → waiting'],
    ['running', 'stop a → stopped', 'stop a → waiting'],
    ['ready', 'stop a → stopped', 'stop a → waiting'],
    ['unhealthy', 'stop a → stopped', 'stop a → waiting'],
    ['backoff', 'stop a → stopped', 'stop a → waiting'],
    ['stopping', null, null],
    ['stopping to wait', 'stop a → stopped', null],
    ['stopped', null, null],
    ['completed', null, null],
    ['disabled', null, null],
  ])('stops a process in state %s: %s, to restart: %s', (state, permanently, toRestart) => {
    const stopsFor = (reason: DownReason) => actionsOf(stopProcesses(snapshotOf({ a: { state, goal: down(reason) } })))
    expect(stopsFor('by_hand')).toEqual(permanently === null ? [] : [permanently])
    expect(stopsFor('restarting')).toEqual(toRestart === null ? [] : [toRestart])
    expect(stopProcesses(snapshotOf({ a: { state, goal: UP }, b: { state: 'running' } }))).toEqual([])
  })

  //  web ── migrate (task) ── db
  test('stops dependents first, even through a completed task', () => {
    const web: Sketch = { state: 'running', goal, needs: ['migrate:completed_successfully'] }
    const migrate: Sketch = { kind: 'task', state: 'completed', goal, needs: ['db'] }
    const db: Sketch = { state: 'running', goal }
    expect(actionsOf(stopProcesses(snapshotOf({ db, migrate, web }, { phase })))).toEqual(['stop web → stopped'])
    const webStops = { ...web, state: 'stopping' } as const
    expect(stopProcesses(snapshotOf({ db, migrate, web: webStops }, { phase }))).toEqual([])
    const webLingers = { ...web, state: 'stopped', isFullyStopped: false } as const
    expect(stopProcesses(snapshotOf({ db, migrate, web: webLingers }, { phase }))).toEqual([])
    const webIsGone = { ...web, state: 'stopped' } as const
    expect(actionsOf(stopProcesses(snapshotOf({ db, migrate, web: webIsGone }, { phase })))).toEqual([
      'stop db → stopped',
    ])
    expect(actionsOf(stopProcesses(snapshotOf({ db, web }, { phase: 'killed' })))).toHaveLength(2)
  })

  //  web ── queue ── db
  test('stops a dependent first although a process between them stays up', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'running', goal: BY_HAND },
      queue: { state: 'running', needs: ['db'] },
      web: { state: 'running', goal: BY_HAND, needs: ['queue'] },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches)))).toEqual(['stop web → stopped'])
  })

  test('stops a dependency although a dependent stays up', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'running', goal: BY_HAND },
      web: { state: 'running', needs: ['db'] },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches)))).toEqual(['stop db → stopped'])
  })

  test('stops a process in backoff without waiting for its dependents', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'backoff', goal },
      web: { state: 'stopping', needs: ['db'], goal },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches, { phase })))).toEqual(['stop db → stopped'])
  })

  test('reaps orphans when the goal is down, or when no process is running any more', () => {
    const task: Sketch = { kind: 'task', state: 'completed', needsReaping: true }
    expect(stopProcesses(snapshotOf({ task, b: { state: 'running' } }))).toEqual([])
    expect(actionsOf(stopProcesses(snapshotOf({ task: { ...task, goal: BY_HAND } })))).toEqual(['reap task'])
    expect(actionsOf(stopProcesses(snapshotOf({ task })))).toEqual(['reap task'])
    expect(stopProcesses(snapshotOf({ task, b: { state: 'stopped', goal: BY_HAND } }))).toEqual([])
  })
})

describe('endRun', () => {
  const schedule = '* * * * *'
  const watch: ProcessSketch['watch'] = { folder: '/', paths: ['src'], ignore: [], debounceMs: 200 }
  const ended: Sketch = { state: 'completed' }
  const rows: readonly [string, Record<string, Sketch>, Partial<Snapshot<ReconciledProcess>>, boolean][] = [
    ['all ended', { a: ended, b: { state: 'failed' } }, {}, true],
    ['all ended or left out', { a: ended, b: { state: 'disabled' } }, {}, true],
    ['one waits', { a: ended, b: {} }, {}, false],
    ['a process group lives', { a: { ...ended, isFullyStopped: false } }, {}, false],
    ['orphans are possible', { a: { ...ended, needsReaping: true } }, {}, false],
    ['stopped by hand', { a: { state: 'stopped', goal: BY_HAND } }, {}, false],
    ['stopped by hand, then with all', { a: { state: 'stopped', goal: BY_HAND } }, { phase: 'stopping' }, true],
    ['a process failed when a command started it', { a: ended, b: { state: 'failed' } }, { isHeld: true }, false],
    ['… and was corrected', { a: ended }, { isHeld: true }, true],
    ['during a reload', { a: ended }, { isReloading: true }, false],
    ['a process that watches has ended', { a: ended, b: { ...ended, watch } }, {}, false],
    ['a task with a schedule has not run', { a: ended, b: { state: 'scheduled', schedule } }, {}, false],
    ['a task with a schedule has failed', { a: ended, b: { state: 'failed', schedule } }, {}, false],
    ['a process that watches is left out', { a: ended, b: { state: 'disabled', watch } }, {}, true],
    ['a process that watches has ended, then all stop', { a: { ...ended, watch } }, { phase: 'stopping' }, true],
    [
      'a process that watches has failed the start',
      { a: { state: 'stopped', goal: down('start_failed') }, b: { state: 'failed', watch } },
      {},
      true,
    ],
  ]

  test.each(rows)('decides by this case: %s', (_title, sketches, over, ends) => {
    expect(actionsOf(endRun(snapshotOf(sketches, over)))).toEqual(ends ? ['end'] : [])
  })
})

test.each<[StateName, Goal, boolean]>([
  ['running', UP, true],
  ['starting', UP, false],
  ['backoff', UP, true],
  ['failed', UP, true],
  ['waiting', UP, true],
  ['running', RESTARTING, false],
])('a process in state %s with the goal %o is settled: %s', (state, goal, expected) => {
  const { graph } = snapshotOf({ a: { state, goal, needs: ['db'] }, db: { state: 'stopped' } })
  expect(graph.named(['a']).map((process) => isSettled(process, graph))).toEqual([expected])
})

describe('the exit code', () => {
  const outcome = { reason: null, hasFailures: false, isCodeFromProcess: false, exitOfProcess: null }

  test.each([
    [outcome, 0],
    [{ ...outcome, hasFailures: true }, 1],
    [{ ...outcome, hasFailures: true, reason: { type: 'asked' as const } }, 0],
    [{ ...outcome, reason: { type: 'start_failed' as const, process: 'a', cause: 'run' as const, message: 'm' } }, 1],
    [{ ...outcome, reason: { type: 'exited' as const, process: 'a', exit } }, 1],
    [{ ...outcome, isCodeFromProcess: true }, 1],
    [{ ...outcome, isCodeFromProcess: true, exitOfProcess: { code: null, signal: 'SIGKILL' as const } }, 137],
  ])('for %o is %i', (given, code) => {
    expect(exitCodeOf(given)).toBe(code)
  })
})

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']

interface Simulated extends ReconciledProcess {
  request: StartRequest | null
  hasBeenUp: boolean
  hasRun: boolean
  state: ProcessState
  goal: Goal
  backoffIsOver: boolean
  isFullyStopped: boolean
  needsReaping: boolean
}

/** Processes without children: actions take effect immediately, and the test sends the events that follow from them. */
class Simulation {
  readonly breaches: string[] = []
  readonly #graph: ProcessGraph<Simulated>
  #phase: Snapshot<Simulated>['phase'] = 'starting'
  #failures: readonly Failure[] = []
  #announced: Announcement = 'none'
  #hasEnded = false

  constructor(sketches: readonly Sketch[]) {
    const { graph } = snapshotOf(Object.fromEntries(sketches.map((sketch, index) => [NAMES[index] ?? '', sketch])))
    this.#graph = new ProcessGraph<Simulated>(graph.config, (definition) => ({
      name: definition.name,
      definition,
      state: initialState(definition),
      goal: UP,
      backoffIsOver: false,
      isFullyStopped: true,
      needsReaping: false,
      request: null,
      hasBeenUp: false,
      hasRun: false,
    }))
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Executes actions until there are none. */
  settle(): void {
    for (let pass = 0; !this.#hasEnded; pass++) {
      const { actions } = this.#next()
      if (actions.length === 0) return
      if (pass > 100) throw new Error(`endless actions: ${actionsOf(actions).join(', ')}`)
      for (const action of actions) this.#carryOut(action)
    }
  }

  command(what: string, name: string): void {
    if (what === 'stop all') this.#stopAll()
    if (this.#phase === 'stopping') return
    for (const process of this.#graph.named([name])) {
      if (what === 'stop' && process.state.type !== 'disabled') process.goal = BY_HAND
      else if (what === 'restart' && process.state.type !== 'waiting' && process.state.type !== 'disabled') {
        process.goal = RESTARTING
        process.request = Symbol('restart')
      } else if (what === 'start' && process.state.type !== 'stopping' && process.goal !== RESTARTING) {
        process.goal = UP
        if (isFinal(process.state)) process.request = Symbol('start')
        if (isFinal(process.state)) process.state = transition(process.state, { type: 'reset' })
      }
    }
  }

  event(what: string, name: string): void {
    for (const process of this.#graph.named([name])) {
      const { state } = process
      if (state.type === 'running') this.#exit(what, process)
      else if (state.type === 'stopping' && what === 'stopped') {
        process.state = transition(state, { type: 'group_exited' })
        process.isFullyStopped = isDown(process.state)
        process.needsReaping = false
      } else if (state.type === 'backoff' && what === 'backoff over') process.backoffIsOver = true
      else if (isFinal(state) && what === 'stopped') process.isFullyStopped = true
    }
  }

  #exit(what: string, process: Simulated): void {
    const isPermanent = process.goal.type === 'down' && process.goal !== RESTARTING
    const crash = isPermanent
      ? ({ type: 'stopped' } as const)
      : ({ type: 'backoff', attempt: 1, waitMs: 1, reason: 'crash' } as const)
    const decisions = { exits: { type: 'completed' }, crashes: crash, fails: { type: 'failed', reason: 'r' } } as const
    if (what !== 'exits' && what !== 'crashes' && what !== 'fails') return
    process.state = transition(process.state, { type: 'exited', exit, decision: decisions[what] })
    process.backoffIsOver = false
    process.isFullyStopped = isDown(process.state)
    this.#noteUp(process)
    if (what === 'fails') this.#failures = [{ process: process.name, reason: 'r', cause: 'run' }]
  }

  #next() {
    const [phase, graph, failures, announced] = [this.#phase, this.#graph, this.#failures, this.#announced]
    const fixed = { external: 'reachable', isReloading: false, isHeld: false } as const
    return { actions: reconcile({ phase, graph, failures, announced, ...fixed }) }
  }

  #carryOut(action: Action<Simulated>): void {
    if (action.type === 'start') this.#start(action.managed)
    else if (action.type === 'stop') this.#stop(action.managed, action.outcome)
    else if (action.type === 'set_goal') action.managed.goal = action.goal
    else if (action.type === 'reset') action.managed.state = transition(action.managed.state, { type: 'reset' })
    else if (action.type === 'skip') action.managed.state = transition(action.managed.state, action)
    else if (action.type === 'forget_failures') this.#failures = []
    else if (action.type === 'finish_start') this.#phase = 'up'
    else if (action.type === 'announce_ready') this.#announced = 'ready'
    else if (action.type === 'announce_incomplete') this.#announced = 'incomplete'
    else if (action.type === 'set_request') action.managed.request = action.request
    else if (action.type === 'stop_all') this.#stopAll()
    else if (action.type === 'end') this.#hasEnded = true
    else if (action.type === 'reap') {
      action.managed.needsReaping = false
      action.managed.isFullyStopped = false
    }
  }

  #start(process: Simulated): void {
    if (this.#phase === 'stopping') this.breaches.push(`${process.name} started after the stop of all began`)
    if (process.goal.type === 'down') this.breaches.push(`${process.name} started although it is to be down`)
    if (process.definition.onDependencyRestart === 'restart') this.#checkFollowed(process)
    process.state = transition(transition(process.state, { type: 'start' }), { type: 'spawned', pid: 1 })
    process.isFullyStopped = false
    process.needsReaping = true
    process.hasRun = true
    this.#noteUp(process)
  }

  /** Records a breach if a process that restarts with its dependencies starts while one of them is going down. */
  #checkFollowed(process: Simulated): void {
    const dependencies = (of: Simulated) => this.#graph.named(this.#graph.dependenciesOf(of).map(({ name }) => name))
    const through = (of: Simulated) =>
      of.definition.kind === 'task' && of.state.type === 'completed' ? dependencies(of) : []
    for (const followed of reachable(dependencies(process), through)) {
      if (followed.goal.type === 'up' || isFinal(followed.state)) continue
      this.breaches.push(`${process.name} started while ${followed.name} is going down`)
    }
  }

  #stop(process: Simulated, outcome: Extract<Action<Simulated>, { type: 'stop' }>['outcome']): void {
    const livesBefore = (dependent: Simulated): boolean =>
      (!dependent.isFullyStopped && dependent.goal.type === 'down') ||
      this.#graph.dependentsOf(dependent).some(livesBefore)
    if (process.state.type === 'running' && this.#graph.dependentsOf(process).some(livesBefore)) {
      this.breaches.push(`${process.name} stopped before its dependents`)
    }
    process.state = transition(process.state, { type: 'stop', outcome })
    process.isFullyStopped = isDown(process.state)
  }

  #noteUp(process: Simulated): void {
    if (!isUp(process.definition, process.state)) return
    process.hasBeenUp = true
    if (process.goal.type === 'up') process.request = null
  }

  #stopAll(): void {
    this.#phase = 'stopping'
    for (const process of this.#graph.all) process.goal = down('shutting_down')
  }
}

const anySketches = fc.tuple(
  ...NAMES.map((_name, index) =>
    fc.record({
      kind: fc.constantFrom('service' as const, 'task' as const),
      needs: fc.subarray(
        NAMES.slice(0, index).flatMap((name) => [`${name}:started`, `${name}:completed`]),
        { maxLength: Math.min(3, 2 * index) },
      ),
      onDependencyRestart: fc.constantFrom('ignore' as const, 'restart' as const),
      whenFailed: fc.constantFrom('isolate' as const, 'isolate' as const, 'stop' as const),
      leftOut: fc.constantFrom(null, null, null, 'was left out'),
    }),
  ),
)
const EVENTS = ['exits', 'crashes', 'fails', 'stopped', 'stopped', 'backoff over']
const anyStep = fc.record({
  name: fc.constantFrom(...NAMES),
  what: fc.constantFrom(...EVENTS, ...EVENTS, 'stop', 'start', 'restart', 'stop all'),
})

test('dependents stop first, nothing starts twice, and the run ends for every order of events and commands (O-37, O-44)', () => {
  fc.assert(
    fc.property(anySketches, fc.array(anyStep, { maxLength: 60 }), (sketches, steps) => {
      const simulation = new Simulation(sketches)
      simulation.settle()
      for (const { what, name } of [...steps, { what: 'stop all', name: 'a' }]) {
        simulation.event(what, name)
        simulation.command(what, name)
        simulation.settle()
      }
      for (let round = 0; round < 2 * NAMES.length; round++) {
        for (const name of NAMES) simulation.event('stopped', name)
        simulation.settle()
      }
      expect(simulation.breaches).toEqual([])
      expect(simulation.hasEnded).toBe(true)
    }),
    { numRuns: 1000 },
  )
})
