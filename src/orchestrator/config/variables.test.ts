import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folder, load, one, problems, store } from '../../../test/rig/config.ts'

describe('interpolation', () => {
  it('replaces variables in args, env and cwd; each value can reference earlier variables', () => {
    const process = one(
      {
        args: ['${A}-${B}', '${mqtt_broker}'],
        env: { B: '${A}2', C: '${B:-x}3', PATH: '/own:${PATH}' },
        cwd: '${HOME}/data',
      },
      {},
      { mqtt_broker: 'there:1', env: { A: '${HOME}1' } },
    )
    expect(process.args).toEqual(['/home/me1-/home/me12', 'there:1'])
    expect(process.env).toMatchObject({ A: '/home/me1', B: '/home/me12', C: '/home/me123' })
    expect(process.env['PATH']).toMatch(/:\/own:\/usr\/bin$/)
    expect(process.cwd).toBe('/home/me/data')
  })

  it('reports an unset variable of the shared env once, not per process', () => {
    expect(problems({ env: { A: '${NOPE}' }, processes: { a: store, b: store } })).toEqual([
      'env.A: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ])
  })
})

describe('env_file', () => {
  it('overrides the env of the file and is overridden by that of the process', () => {
    writeFileSync(join(folder, 'one.env'), '# comment\nA=file\nexport B="fi le"\nC=file\n\nD=\'two\nlines\'\n')
    writeFileSync(join(folder, 'two.env'), 'C=second\n')
    const { env } = one(
      { env_file: ['one.env', 'two.env'], env: { B: 'own', E: '${A}' } },
      {},
      { env: { A: 'shared' } },
    )
    expect(env).toMatchObject({ A: 'file', B: 'own', C: 'second', D: 'two\nlines', E: 'file' })
  })

  it.each([
    ['PASSWORD hunter2', 'line 1: expected NAME=value'],
    ['A=1\nhunter2\n', 'line 2: expected NAME=value'],
    ['A=1\nB="hunter2\nC=3', 'line 2: the quote that begins here is not closed'],
  ])('%j is rejected without being shown', (text, expected) => {
    writeFileSync(join(folder, 'bad.env'), text)
    const [problem = ''] = problems({ processes: { a: { ...store, env_file: 'bad.env' } } })
    expect(problem).toContain(`processes.a.env_file: "${folder}/bad.env" ${expected}`)
    expect(problem).not.toContain('hunter2')
  })

  it('a missing file is an error', () => {
    expect(problems({ processes: { a: { ...store, env_file: ['none.env'] } } })).toEqual([
      `processes.a.env_file[0]: "${folder}/none.env" does not exist`,
    ])
  })
})

describe("the children's environment (O-42)", () => {
  it('is that of the orchestrator without its own variables', () => {
    const environment = {
      PONIX_CONTROL_TOKEN: 'secret',
      NOTIFY_SOCKET: '/run/x',
      NOTIFY_FD: '3',
      WATCHDOG_USEC: '1',
      WATCHDOG_PID: '2',
      LANG: 'C',
      PATH: '/usr/bin',
    }
    expect(Object.keys(one({}, { environment }).env).sort()).toEqual(['LANG', 'PATH'])
  })

  it('PATH begins with node_modules/.bin of the configuration folder and its parents', () => {
    const nested = join(folder, 'a', 'node_modules', 'b')
    mkdirSync(nested, { recursive: true })
    const [process] = load(
      { processes: { store } },
      { path: writeConfig(join(nested, 'x.json')), environment: { PATH: '/usr/bin' } },
    ).processes
    const folders = process?.env['PATH']?.split(':') ?? []
    expect(folders.slice(0, 3)).toEqual([
      join(nested, 'node_modules/.bin'),
      join(folder, 'a/node_modules/.bin'),
      join(folder, 'node_modules/.bin'),
    ])
    expect(folders.at(-1)).toBe('/usr/bin')
  })

  it('has a default PATH if the orchestrator has none', () => {
    expect(one({}, { environment: {} }).env['PATH']).toMatch(/:\/usr\/bin:/)
  })
})

function writeConfig(path: string): string {
  writeFileSync(path, JSON.stringify({ processes: { store } }))
  return path
}
