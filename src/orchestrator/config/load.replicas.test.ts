import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as rig from '../../../test/rig/configuration/config.ts'
import { type LoadOptions, withoutLeftOut } from './load.ts'
import type { ResolvedConfig } from './resolved.ts'

const { folder } = rig
const load = (processes: object, options: Partial<LoadOptions> = {}) => rig.load({ processes }, options)
const problems = (processes: object) => rig.problems({ processes })

const worker = { command: 'work', args: ['--shard', '${PONIX_REPLICA}'], replicas: 3 }
const names = (config: ResolvedConfig) => config.processes.map(({ name }) => name)

describe('replicas', () => {
  it('are separate processes, each with its number', () => {
    const { processes } = load({ worker })
    expect(
      processes.map(({ name, configName, args, env }) => [name, configName, args[1], env['PONIX_REPLICA']]),
    ).toEqual([
      ['worker#1', 'worker', '1', '1'],
      ['worker#2', 'worker', '2', '2'],
      ['worker#3', 'worker', '3', '3'],
    ])
  })

  it('have their number in PONIX_REPLICA regardless of env; a process without replicas has no PONIX_REPLICA', () => {
    const env = { PONIX_REPLICA: 'mine' }
    const { processes } = load({ worker: { ...worker, env }, one: { command: 'x' } })
    expect(processes.map((process) => process.env['PONIX_REPLICA'])).toEqual(['1', '2', '3', undefined])
    expect(names(load({ worker: { ...worker, replicas: 1 } }))).toEqual(['worker#1'])
  })

  it('are all dependencies of a process that depends on their name', () => {
    const { processes } = load({ web: { command: 'web', depends_on: ['worker'], replicas: 2 }, worker })
    const all = ['worker#1', 'worker#2', 'worker#3'].map((name) => ({ name, condition: 'started' }))
    expect(processes.filter(({ configName }) => configName === 'web').map(({ dependsOn }) => dependsOn)).toEqual([
      all,
      all,
    ])
  })

  it('can be selected together or individually (O-3, O-4)', () => {
    const file = { worker, web: { command: 'web', depends_on: ['worker'] } }
    const selected = (options: Partial<LoadOptions>) => names(withoutLeftOut(load(file, options)))
    expect(selected({ only: ['worker'] })).toEqual(['worker#1', 'worker#2', 'worker#3'])
    expect(selected({ only: ['worker#2'] })).toEqual(['worker#2'])
    expect(selected({ disable: ['worker'] })).toEqual(['web'])
    const { processes } = withoutLeftOut(load(file, { disable: ['worker#2'] }))
    expect(processes.map(({ name }) => name)).toEqual(['worker#1', 'worker#3', 'web'])
    expect(processes.at(-1)?.dependsOn.map(({ name }) => name)).toEqual(['worker#1', 'worker#3'])
  })

  it.each([
    [{ only: ['worker#4'] }, '--only "worker#4": there is no such process; did you mean "worker#1"?'],
    [{ only: ['worker'], disable: ['worker'] }, '--only and --disable both name "worker"; remove one of them'],
    [{ only: ['worker#2'], disable: ['worker'] }, '--only and --disable both name "worker#2"; remove one of them'],
    [{ exitCodeFrom: 'worker' }, '--exit-code-from "worker": it has replicas; name one of them, such as "worker#1"'],
    [{ exitCodeFrom: 'worker#2', disable: ['worker#2'] }, '--exit-code-from: "worker#2" was left out by --disable'],
  ])('cannot be selected with %j (O-6)', (options, message) => {
    expect(rig.failure({ processes: { worker } }, options).message).toBe(message)
  })

  it.each([
    [{ replicas: 0 }, 'processes.worker.replicas: expected a whole number from 1 to 1000, got 0'],
    [
      { provides: 'mqtt_broker' },
      'processes.worker.provides: cannot be combined with "replicas": there is one broker at one address',
    ],
    [
      { readiness_probe: { tcp_socket: 'localhost:80' } },
      'processes.worker.readiness_probe: probes the same address for every replica; use ${PONIX_REPLICA} in the address, or exec, log_line or notify',
    ],
    [
      { liveness_probe: { http_get: 'http://localhost:80' } },
      'processes.worker.liveness_probe: probes the same address for every replica; use ${PONIX_REPLICA} in the address, or exec',
    ],
    [
      { log: { file: 'worker.log' } },
      'processes.worker.log.file: all replicas would write to this file; use ${PONIX_REPLICA} in its name',
    ],
    [
      { args: ['${NOWHERE}'] },
      'processes.worker.args[0]: ${NOWHERE} is not set and has no default; set NOWHERE, or write ${NOWHERE:-default}',
    ],
  ])('%j is rejected once for all replicas (O-20)', (keys, message) => {
    expect(problems({ worker: { ...worker, ...keys } })).toEqual([message])
  })

  it('are not names of the file: a dependency on one of them is unknown (O-21)', () => {
    expect(problems({ worker, web: { command: 'web', depends_on: ['worker#1'] } })).toEqual([
      'processes.web.depends_on[0]: process "web" depends on "worker#1", which does not exist; did you mean "worker"?',
    ])
  })
})

describe('the key log', () => {
  const logOf = (log: object, keys: object = {}) =>
    load({ a: { command: 'a', ...keys, log } }).processes.map((process) => process.log)

  it('names a file in the configuration folder, with variables and limits', () => {
    expect(logOf({ file: 'logs/a.log' })).toEqual([
      { file: { path: join(folder, 'logs/a.log'), maxSize: 10_000_000, maxFiles: 5 }, quiet: false },
    ])
    expect(
      logOf({ file: '/var/log/a-${PONIX_REPLICA}.log', max_size: '64KiB', max_files: 1 }, { replicas: 2 }),
    ).toEqual([
      { file: { path: '/var/log/a-1.log', maxSize: 65_536, maxFiles: 1 }, quiet: false },
      { file: { path: '/var/log/a-2.log', maxSize: 65_536, maxFiles: 1 }, quiet: false },
    ])
    expect(logOf({ quiet: true })).toEqual([{ file: null, quiet: true }])
  })

  it.each([
    ['1', 1],
    [1000, 1000],
    ['10MB', 10_000_000],
    ['1.5 gib', 1_610_612_736],
    ['2k', null],
    ['0MB', null],
    ['-1', null],
    ['MB', null],
  ])('a size of %j is %j bytes', (max_size, bytes) => {
    const file = { a: { command: 'a', log: { file: 'a.log', max_size } } }
    const found = bytes === null ? problems(file) : load(file).processes.map(({ log }) => log.file?.maxSize)
    const message = `processes.a.log.max_size: expected a number of bytes, or a size such as "10MB" or "64KiB", got ${JSON.stringify(max_size)}`
    expect(found).toEqual([bytes ?? message])
  })

  it('rejects a log file that another process writes or rotates to (O-20)', () => {
    const logging = (file: string) => ({ command: 'x', log: { file, max_files: 2 } })
    expect(problems({ a: logging('x.log'), b: logging('./x.log') })).toEqual([
      'processes.b.log.file: process "a" already writes to this file; choose another one',
    ])
    expect(problems({ a: logging('x.log.2'), b: logging('x.log') })).toEqual([
      'processes.a.log.file: is the name of a rotated file of process "b"; choose another one',
    ])
    expect(names(load({ a: logging('x.log.3'), b: logging('x.log') }))).toEqual(['a', 'b'])
    expect(names(load({ a: logging('x.log'), b: logging('./x.log') }, { disable: ['a'] }))).toEqual(['a', 'b'])
  })

  it('rejects limits without a file', () => {
    expect(problems({ a: { command: 'a', log: { max_size: 5, max_files: 2 } } })).toEqual([
      'processes.a.log.max_size: has no effect without "file", whose size it limits',
      'processes.a.log.max_files: has no effect without "file", whose rotated files it counts',
    ])
  })
})
