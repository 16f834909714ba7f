import { expect, test } from 'vitest'
import { loadGraph } from '../../../test/rig/export.ts'
import { differenceOf } from './graph.ts'

const web = { command: 'web', depends_on: ['worker'] }
/** As if all were read from one file: each has a PATH of its own else. */
const config = (processes: object) => {
  const { config: loaded } = loadGraph({ processes })
  return { ...loaded, processes: loaded.processes.map((process) => ({ ...process, env: {} })) }
}
const worker = (replicas: number, rest: object = {}) => ({ command: 'work', cwd: '/', replicas, ...rest })

test('another number of instances starts or stops only the difference, whoever depends on them (O-39)', () => {
  const at = (replicas: number) => config({ worker: worker(replicas), web: { ...web, cwd: '/' } })
  expect(differenceOf(at(2), at(3))).toEqual({
    added: ['worker#3'],
    removed: [],
    changed: [],
    unchanged: ['worker#1', 'worker#2', 'web'],
  })
  expect(differenceOf(at(3), at(1))).toMatchObject({ removed: ['worker#2', 'worker#3'], changed: [] })
})

test('another condition is a change of who waits (O-39)', () => {
  const at = (condition: string) =>
    config({ worker: worker(2, { cwd: '/' }), web: { ...web, cwd: '/', depends_on: { worker: { condition } } } })
  expect(differenceOf(at('started'), at('ready'))).toMatchObject({ changed: ['web'] })
})
