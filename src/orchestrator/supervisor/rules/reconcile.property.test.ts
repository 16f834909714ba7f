import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Simulation } from '../../../../test/rig/orchestrator/rule-simulation.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']

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
      const simulation = new Simulation(
        Object.fromEntries(sketches.map((sketch, index) => [NAMES[index] ?? '', sketch])),
      )
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
