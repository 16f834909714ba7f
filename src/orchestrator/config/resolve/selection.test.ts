import { describe, expect, it } from 'vitest'
import { failure, load, problems, store } from '../../../../test/rig/configuration/config.ts'
import { type LoadOptions, withoutLeftOut } from '../load.ts'
import type { ResolvedConfig } from '../resolved.ts'

const needing = (...names: string[]) => ({ ...store, depends_on: names })

/** Returns the reasons of the processes that are left out, and `runs` for the others. */
function states({ processes }: ResolvedConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(processes.map(({ name, leftOut }) => [name, leftOut ?? 'runs']))
}

const only = 'was left out by --only'
const disable = 'was left out by --disable'
const off = 'is disabled in the file'
const dev = 'belongs to the profile "dev", which is not active'
const devOrTest = 'belongs to the profiles "dev", "test", none of which is active'

describe('the selection of processes (O-3, O-4)', () => {
  const file = {
    processes: {
      db: store,
      api: needing('db', 'mail'),
      mail: { ...needing('queue'), profiles: ['dev', 'test'] },
      queue: store,
      extra: { ...needing('db'), disabled: true },
      debug: { ...needing('api', 'extra'), profiles: ['dev'] },
    },
  }

  it.each<readonly [Partial<LoadOptions>, object]>([
    [{}, { mail: devOrTest, extra: off, debug: dev }],
    [{ disable: ['db', 'extra'] }, { db: disable, mail: devOrTest, extra: disable, debug: dev }],
    [{ profiles: ['dev'] }, { extra: off }],
    [{ profiles: ['test'] }, { extra: off, debug: dev }],
    [
      { profiles: ['dev'], disable: ['mail'] },
      { mail: disable, extra: off },
    ],
    [{ only: ['api'] }, { db: only, mail: only, queue: only, extra: only, debug: only }],
    [{ only: ['extra', 'debug'] }, { db: only, api: only, mail: only, queue: only }],
    [
      { only: ['api'], withDependencies: true },
      { mail: only, queue: only, extra: only, debug: only },
    ],
    [
      { only: ['api'], withDependencies: true, profiles: ['dev'] },
      { extra: only, debug: only },
    ],
    [{ only: ['debug'], withDependencies: true }, { extra: only }],
    [
      { only: ['debug'], withDependencies: true, disable: ['mail'] },
      { mail: disable, queue: only, extra: only },
    ],
  ])('%j leaves out %j', (options, expected) => {
    const all = { db: 'runs', api: 'runs', mail: 'runs', queue: 'runs', extra: 'runs', debug: 'runs' }
    expect(states(load(file, options))).toEqual({ ...all, ...expected })
  })

  it('keeps dependencies on left-out processes, which withoutLeftOut removes', () => {
    const config = load(file, { only: ['api'] })
    expect(config.processes.find(({ name }) => name === 'api')?.dependsOn).toHaveLength(2)
    expect(withoutLeftOut(config).processes).toMatchObject([{ name: 'api', dependsOn: [] }])
  })

  it.each([
    [{ only: ['stoer'] }, '--only "stoer": there is no such process; did you mean "store"?'],
    [{ disable: ['zookeeper'] }, '--disable "zookeeper": there is no such process; the processes are db, store, extra'],
    [{ only: ['db'], disable: ['db'] }, '--only and --disable both name "db"; remove one of them'],
    [
      { disable: ['db', 'store'] },
      'every process is left out; nothing is left to run; the profiles for --profile are dev',
    ],
    [{ exitCodeFrom: 'stor' }, '--exit-code-from "stor": there is no such process; did you mean "store"?'],
    [{ exitCodeFrom: 'extra' }, `--exit-code-from: "extra" ${dev}`],
    [{ exitCodeFrom: 'db', disable: ['db'] }, '--exit-code-from: "db" was left out by --disable'],
    [{ only: ['constructor'] }, '--only "constructor": there is no such process; the processes are db, store, extra'],
    [{ profiles: ['dve'] }, '--profile "dve": there is no such profile; did you mean "dev"?'],
    [{ profiles: ['production'] }, '--profile "production": there is no such profile; the profiles are dev'],
  ])('is rejected as %j (O-6)', (options, message) => {
    const processes = { db: store, store: needing('db'), extra: { ...store, profiles: ['dev'] } }
    const error = failure({ processes }, options)
    expect([error.problems, error.message]).toEqual([[], message])
  })

  it('is rejected with a profile if the file has none', () => {
    const { message } = failure({ processes: { store } }, { profiles: ['dev'] })
    expect(message).toBe('--profile "dev": no process of the file has "profiles"')
  })

  it('is checked after the file', () => {
    expect(problems({ processes: { a: { command: 1 } } }, { only: ['b'] })).toEqual([
      'processes.a.command: expected a program name or path, got 1',
    ])
  })
})

describe('a left-out process', () => {
  const broken = { ...store, args: ['${NOPE}'], env_file: 'none.env', disabled: true }

  it('has its mistakes in variables as its problem; they are no errors of the file', () => {
    const [, found] = load({ processes: { store, broken } }).processes
    expect(found?.problem).toMatch(/^processes\.broken\.env_file: "\/.*none\.env" does not exist; if it is optional/)
    const [, unset] = load({ processes: { store, broken: { ...broken, env_file: [] } } }).processes
    expect(unset?.problem).toBe(
      'processes.broken.args[0]: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    )
  })

  it('has no problem without such mistakes, and is resolved like the others', () => {
    const worker = { ...store, args: ['${HOME}'], disabled: true }
    const [, resolved] = load({ processes: { store, worker } }).processes
    expect(resolved).toMatchObject({ args: ['/home/me'], leftOut: off, problem: null })
  })

  it('can use the log file of another process', () => {
    const log = { file: 'x.log' }
    const file = { processes: { store: { ...store, log }, other: { ...store, log, disabled: true } } }
    expect(load(file).processes).toHaveLength(2)
  })
})
