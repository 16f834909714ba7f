import { describe, expect, test } from 'vitest'
import { configOf } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { ProcessGraph } from './graph.ts'
import type { StartRequest } from './snapshot.ts'
import { isBeingReplaced, supersededBecause } from './start-outcome.ts'
import { type DownReason, type Goal, type ProcessState, UP } from './state.ts'

const first: StartRequest = Symbol('first')
const other: StartRequest = Symbol('other')
const running: ProcessState = { type: 'running', attempt: 0, pid: 1 }
const down = (reason: DownReason): Goal => ({ type: 'down', reason })

interface Sketch {
  readonly request?: StartRequest | null
  readonly goal?: Goal
  readonly hasBeenUp?: boolean
}

/** Returns a process that a reload has started, and the graph; `now` is the process with its name, if it is another one. */
function scene(sketch: Sketch, now: 'same' | 'changed' | 'removed' | 'disabled' = 'same') {
  const created = (state: ProcessState = running) =>
    new ProcessGraph(configOf([{ name: 'web', command: 'x' }]), (definition) => ({
      name: definition.name,
      definition,
      state,
      hasBeenUp: false,
      request: first,
      goal: UP,
      ...sketch,
    }))
  const graph = created()
  const [managed] = graph.all
  if (managed === undefined) throw new Error('no process')
  const later = {
    same: graph,
    changed: created(),
    removed: new ProcessGraph(configOf([]), () => managed),
    disabled: created({ type: 'disabled', because: 'is left out' }),
  }
  return { managed, graph: later[now] }
}

describe('what stops or changes a process before it is up', () => {
  test.each<[string, Sketch, Parameters<typeof scene>[1], string | null]>([
    ['nothing', {}, 'same', null],
    ['nothing, once it is up', { hasBeenUp: true, request: null }, 'changed', null],
    ['a restart', { request: other, goal: down('restarting') }, 'same', 'was restarted'],
    ['a restart that has begun', { request: other }, 'same', 'was restarted'],
    ['a stop', { request: null, goal: down('by_hand') }, 'same', 'was stopped by another command'],
    ['the end of all', { request: null, goal: down('shutting_down') }, 'same', 'was stopped with all others'],
    ['a change', { request: other, goal: down('replaced') }, 'changed', 'was changed by a later reload'],
    ['a removal', { request: other, goal: down('replaced') }, 'removed', 'was removed by a later reload or scale'],
    ['a profile', { request: other, goal: down('replaced') }, 'disabled', 'was removed by a later reload or scale'],
  ])('%s', (_what, sketch, now, because) => {
    const { managed, graph } = scene(sketch, now)
    expect(supersededBecause(managed, first, graph)).toBe(because)
  })

  test('is unknown while a later reload stops the process', () => {
    const isPending = (...args: Parameters<typeof scene>) => {
      const { managed, graph } = scene(...args)
      return isBeingReplaced(managed, graph)
    }
    const replaced = { request: other, goal: down('replaced') }
    expect([isPending(replaced), isPending(replaced, 'changed'), isPending({})]).toEqual([true, false, false])
  })
})
