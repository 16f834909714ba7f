import { type ProbeState, NOT_PROBED } from '../../../src/orchestrator/supervisor/probes/poll.ts'
import { ProcessGraph } from '../../../src/orchestrator/supervisor/rules/graph.ts'
import type { RestartCause } from '../../../src/orchestrator/supervisor/rules/restart-policy.ts'
import { type Goal, type ProcessState, UP } from '../../../src/orchestrator/supervisor/rules/state.ts'
import type { ExplainedProcess, ExplainedSnapshot } from '../../../src/orchestrator/supervisor/waiting/explain.ts'
import { configOf, probeOf, type ProcessSketch } from './supervised-graph.ts'

/** On the clock of `performance.now()`. */
export const NOW = 100_000
export const exit = { code: 1, signal: null } as const
export const running: ProcessState = { type: 'running', attempt: 0, pid: 1 }
export const ready: ProcessState = { type: 'ready', attempt: 0, pid: 1 }
export const waiting: ProcessState = { type: 'waiting' }
export const stopping: ProcessState = { type: 'stopping', pid: 1, exit: null, outcome: { type: 'stopped' } }
export const stopped: ProcessState = { type: 'stopped', exit }
export const backoff: ProcessState = { type: 'backoff', attempt: 3, waitMs: 5000, reason: 'exited with code 1', exit }
export const unhealthy: ProcessState = { type: 'unhealthy', attempt: 0, pid: 1, reason: 'x' }
export const tcp = probeOf({ type: 'tcp_socket', host: '127.0.0.1', port: 5432 })
export const down: Goal = { type: 'down', reason: 'by_hand' }
export const failing = (failures: number, answer: string): ProbeState => ({ ...NOT_PROBED, failures, answer })
const refused = failing(12, 'connection refused')
export const isReady = (...names: readonly string[]) => names.map((name) => ({ name, condition: 'ready' as const }))
export const isCompleted = (name: string) => [{ name, condition: 'completed_successfully' as const }]

/** A process without a child: the properties that the sentences are about, set by the test. */
export interface Sketch extends Partial<Omit<ProcessSketch, 'name'>> {
  readonly state: ProcessState
  readonly probe?: ProbeState
  readonly goal?: Goal
  /** How long it has been in its state. */
  readonly forMs?: number
  /** The uptime of its child. */
  readonly uptimeMs?: number
  readonly lastRestart?: RestartCause
}
export type Sketches = Readonly<Record<string, Sketch>>
export type Snapshot = ExplainedSnapshot<ExplainedProcess>

/** Returns the snapshot of these processes at the time NOW. */
export function snapshotOf(sketches: Sketches, external: Partial<Snapshot['external']> = {}): Snapshot {
  const processes = Object.entries(sketches).map(([name, sketch]) => ({ ...sketch, name, command: 'x' }))
  const graph = new ProcessGraph<ExplainedProcess>(configOf(processes, { host: '::1', port: 1883 }), (definition) => {
    const sketch = sketches[definition.name] ?? { state: waiting }
    const { state, goal = UP, probe = null, forMs = 0, uptimeMs = null, lastRestart = null } = sketch
    const restarts = { count: 0, last: lastRestart, lastExit: null }
    const startedAt = uptimeMs === null ? null : NOW - uptimeMs
    return { name: definition.name, definition, state, goal, probe, since: NOW - forMs, startedAt, restarts }
  })
  return { graph, external: { state: 'reachable', since: 0, failures: 0, answer: null, ...external }, now: NOW }
}

/** A process that is not ready, and the sentence about it. */
export const db = { state: running, readinessProbe: tcp, probe: refused }
export const dbText = 'db: not ready, tcp_socket 127.0.0.1:5432: connection refused (12 attempts)'
