import { expect, it } from 'vitest'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadFile, loadGraph } from '../../../test/rig/configuration/export.ts'
import { exportedInstances, groupReplicas, numberedKeys, replicaNumber } from './replicas.ts'

const number = '${PONIX_REPLICA}'

const shellLine = { command: `echo ${number}`, shell: true }

it.each([
  [{}, true, []],
  [{}, false, []],
  [{ log: { file: `${number}.log` } }, false, []],
  [{ args: [number] }, true, ['args']],
  [{ env: { PORT: `300${number}` } }, true, ['env']],
  [{ cwd: number }, true, ['cwd']],
  [{ readiness_probe: { tcp_socket: `127.0.0.1:300${number}` } }, true, ['readiness_probe']],
  [{ readiness_probe: { log_line: 'up' } }, true, []],
  // The shell expands the variable.
  [shellLine, true, []],
  [shellLine, false, ['command']],
])('replicas with %j use their number, for an engine that sets it (%j), in %j', (keys, setsNumber, expected) => {
  const { config } = loadGraph({ processes: { worker: { command: 'x', replicas: 3, ...keys } } })
  expect(groupReplicas(config.processes).map((instances) => numberedKeys(instances, { setsNumber }))).toEqual([
    expected,
  ])
})

it('replicas of each process are together, with their numbers', () => {
  const worker = { command: 'x', replicas: 2 }
  const { config } = loadGraph({ processes: { a: { command: 'x' }, worker, b: { command: 'x', replicas: 1 } } })
  const groups = groupReplicas(config.processes)
  expect(groups.map((group) => group.map(({ name }) => name))).toEqual([['a'], ['worker#1', 'worker#2'], ['b#1']])
  expect(groups[1]?.map(({ name }) => replicaNumber(name))).toEqual([1, 2])
})

it('replicas with an env_file each are exported by themselves, also if the values are equal', () => {
  const env_file = [{ path: `${number}.env`, required: false }]
  const { folder, config } = loadGraph({ processes: { worker: { command: 'x', replicas: 2, env_file } } })
  for (const file of ['1.env', '2.env']) writeFileSync(join(folder, file), 'A=1\n')
  const loaded = loadFile(config.path, { PATH: '/usr/bin:/bin' }).config
  const instances = exportedInstances(loaded, { setsNumber: true })
  expect(instances.map(({ title, numberedKeys: keys }) => [title, keys])).toEqual([
    ['worker#1', ['env_file']],
    ['worker#2', ['env_file']],
  ])
})
