import { expect, test } from 'vitest'
import { type StopDefinition, planOrphans } from './orphaned-run.ts'

const shutdown = { signal: 'SIGINT', timeoutMs: 100 } as const
const definition = (name: string, ...dependencies: readonly string[]): StopDefinition => ({
  name,
  shutdown,
  dependsOn: dependencies.map((dependency) => ({ name: dependency, condition: 'ready' })),
})
const orphan = (pid: number, tag: string) => ({ pid, runTag: `run/${tag}`, start: '1' })
/** Each process group has ten pids; pid 99 is gone. */
const groupOf = (pid: number) => (pid === 99 ? null : pid - (pid % 10))

test('the plan has the signals and dependents of the file, and SIGTERM for processes that it does not have (O-38)', () => {
  const definitions = [definition('web', 'migrate'), definition('migrate', 'db'), definition('db')]
  const orphans = [
    orphan(10, 'run/db/1'),
    orphan(11, 'run/db/1'),
    orphan(20, 'run/db/2'),
    orphan(30, 'run/web/1'),
    orphan(99, 'run/web/1'),
    orphan(40, 'run/removed/3'),
  ]
  const known = { signal: 'SIGINT', timeoutMs: 100 }
  expect(planOrphans('run', orphans, definitions, groupOf)).toEqual({
    runTag: 'run',
    processes: [
      { name: 'web', groups: [30], ...known, dependents: [] },
      { name: 'migrate', groups: [], ...known, dependents: ['web'] },
      { name: 'db', groups: [10, 20], ...known, dependents: ['migrate'] },
      { name: 'removed', groups: [40], signal: 'SIGTERM', timeoutMs: 5000, dependents: [] },
    ],
  })
})
