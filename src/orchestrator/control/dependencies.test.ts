import { expect, test } from 'vitest'
import { configOf, type ProcessSketch } from '../../../test/rig/orchestrator/supervised-graph.ts'
import type { ResolvedProcess } from '../config/resolved.ts'
import { leftOutBy } from '../config/resolve/selection.ts'
import { ProcessGraph } from '../supervisor/rules/graph.ts'
import type { ProcessState } from '../supervisor/rules/state.ts'
import { withDependencies } from './dependencies.ts'

const exit = { code: 1, signal: null, uptimeMs: 1 }
const STATES = {
  running: { type: 'running', attempt: 1, pid: 1 },
  waiting: { type: 'waiting' },
  stopped: { type: 'stopped', exit },
  failed: { type: 'failed', reason: 'x', exit },
  completed: { type: 'completed', exit: { ...exit, code: 0 } },
  disabled: { type: 'disabled', because: 'x' },
} satisfies Record<string, ProcessState>

const sketch = (name: string, rest: Partial<ProcessSketch> = {}): ProcessSketch => ({ name, command: 'x', ...rest })

//  volume ── db ── api
test.each([
  ['stopped', {}, ['api', 'db', 'volume']],
  ['failed', {}, ['api', 'db', 'volume']],
  ['waiting', {}, ['api', 'db', 'volume']],
  ['running', {}, ['api']],
  ['completed', { kind: 'task' }, ['api']],
  ['disabled', { leftOut: leftOutBy.only }, ['api', 'db', 'volume']],
  ['disabled', { leftOut: leftOutBy.disable }, ['api']],
  ['disabled', { leftOut: leftOutBy.file }, ['api']],
  ['disabled', { leftOut: 'x', profiles: ['dev', 'test'] }, ['api', 'db', 'volume']],
  ['disabled', { leftOut: 'x', profiles: ['test'] }, ['api']],
] as const)('a dependency in state %s with %j: starts %j', (state, rest, expected) => {
  const states: Readonly<Record<string, ProcessState>> = { db: STATES[state], volume: STATES.stopped }
  const processes = [
    sketch('volume'),
    sketch('db', { ...rest, dependsOn: [{ name: 'volume', condition: 'started' }] }),
    sketch('api', { profiles: ['dev'], dependsOn: [{ name: 'db', condition: 'started' }] }),
  ]
  const graph = new ProcessGraph(configOf(processes), (definition: ResolvedProcess) => ({
    name: definition.name,
    definition,
    state: states[definition.name] ?? STATES.stopped,
  }))
  expect(withDependencies(graph, graph.named(['api'])).map(({ name }) => name)).toEqual(expected)
})
