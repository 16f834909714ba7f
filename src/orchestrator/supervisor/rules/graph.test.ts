import { expect, test } from 'vitest'
import { loadGraph } from '../../../../test/rig/configuration/export.ts'
import { differenceOf } from './graph.ts'

const web = { command: 'web', depends_on: ['worker'] }
/** Loads a file without the environment, because each file would have its own PATH. */
const config = (processes: object) => {
  const { config: loaded } = loadGraph({ processes })
  return { ...loaded, processes: loaded.processes.map((process) => ({ ...process, env: {} })) }
}
const worker = (replicas: number, rest: object = {}) => ({ command: 'work', cwd: '/', replicas, ...rest })

test('a changed number of instances adds or removes only the difference, and changes no dependent (O-39)', () => {
  const at = (replicas: number) => config({ worker: worker(replicas), web: { ...web, cwd: '/' } })
  expect(differenceOf(at(2), at(3))).toEqual({
    added: ['worker#3'],
    removed: [],
    changed: [],
    unchanged: ['worker#1', 'worker#2', 'web'],
  })
  expect(differenceOf(at(3), at(1))).toMatchObject({ removed: ['worker#2', 'worker#3'], changed: [] })
})

test('a new instance of a left-out process is added only if a command has started the process (O-39)', () => {
  const at = (replicas: number) => config({ worker: worker(replicas, { disabled: true }), web })
  expect(differenceOf(at(1), at(2))).toMatchObject({ added: [], removed: [] })
  expect(differenceOf(at(1), at(2), new Set(['worker']))).toMatchObject({ added: ['worker#2'], removed: [] })
  expect(differenceOf(at(2), at(1), new Set(['worker']))).toMatchObject({ added: [], removed: ['worker#2'] })
})

test('a changed condition changes the dependent (O-39)', () => {
  const at = (condition: string) =>
    config({ worker: worker(2, { cwd: '/' }), web: { ...web, cwd: '/', depends_on: { worker: { condition } } } })
  expect(differenceOf(at('started'), at('ready'))).toMatchObject({ changed: ['web'] })
})
