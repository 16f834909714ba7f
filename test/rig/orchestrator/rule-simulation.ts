import { reachable } from '../../../src/orchestrator/config/dependency-graph.ts'
import { isUp, ProcessGraph } from '../../../src/orchestrator/supervisor/rules/graph.ts'
import { reconcile } from '../../../src/orchestrator/supervisor/rules/reconcile.ts'
import type {
  Action,
  Announcement,
  Failure,
  ReconciledProcess,
  Snapshot,
  StartRequest,
} from '../../../src/orchestrator/supervisor/rules/snapshot.ts'
import {
  type Goal,
  initialState,
  isDown,
  isFinal,
  type ProcessState,
  transition,
  UP,
} from '../../../src/orchestrator/supervisor/rules/state.ts'
import { actionsOf, BY_HAND, down, exit, RESTARTING, type Sketch, snapshotOf } from './rule-snapshot.ts'

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
export class Simulation {
  readonly breaches: string[] = []
  readonly #graph: ProcessGraph<Simulated>
  #phase: Snapshot<Simulated>['phase'] = 'starting'
  #failures: readonly Failure[] = []
  #announced: Announcement = 'none'
  #hasEnded = false

  constructor(sketches: Readonly<Record<string, Sketch>>) {
    const { graph } = snapshotOf(sketches)
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
      startedAt: null,
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
    const fixed = { external: 'reachable', isReloading: false, isHeld: false, now: 0 } as const
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
