import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { plainOptions } from '../../../../test/rig/configuration/load-options.ts'
import { ConfigError } from '../errors.ts'
import { loadConfig } from '../load.ts'
import type { ResolvedConfig } from '../resolved.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ponix-source-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Writes files, by their path relative to the folder; a string is written unchanged. */
function write(files: Readonly<Record<string, unknown>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
}

function load(name = 'commonplace.json'): ResolvedConfig {
  return loadConfig({ ...plainOptions, path: join(folder, name), environment: { PATH: '/usr/bin' } })
}

/** Writes the files and returns the error of the first one, with paths relative to the folder. */
function failure(files: Readonly<Record<string, unknown>>): string {
  write(files)
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${folder}/`, '')
    throw error
  }
  throw new Error('the files were accepted')
}

const summary = ({ processes }: ResolvedConfig) =>
  Object.fromEntries(processes.map(({ name, command, args }) => [name, [command, ...args]]))

const base = {
  processes: { db: { command: 'db' }, web: { command: 'web', args: ['a', 'b'], env: { A: '1', B: '2' } } },
}

describe('extends', () => {
  it('merges objects, replaces lists and scalars, and removes what is null', () => {
    const over = {
      extends: './base.json',
      processes: { web: { args: ['c'], env: { B: null, C: '3' } }, db: null, api: { command: 'api' } },
    }
    write({ 'base.json': base, 'commonplace.json': over })
    const config = load()
    expect(summary(config)).toEqual({ web: ['web', 'c'], api: ['api'] })
    expect(config.processes[0]?.env).toMatchObject({ A: '1', C: '3' })
    expect(config.processes[0]?.env).not.toHaveProperty('B')
    expect(config.files).toEqual([join(folder, 'base.json'), join(folder, 'commonplace.json')])
  })

  it('reads chains and lists; later files override earlier ones', () => {
    write({
      'lib/a.json': { extends: 'b.json', processes: { x: { args: ['a'] } } },
      'lib/b.json': { processes: { x: { command: 'b', args: ['b'] }, y: { command: 'b' } } },
      'c.json': { processes: { y: { command: 'c' } } },
      'commonplace.json': { extends: ['lib/a.json', 'c.json'] },
    })
    expect(summary(load())).toEqual({ x: ['b', 'a'], y: ['c'] })
  })

  it('resolves paths relative to the file in which they stand', () => {
    write({
      'lib/base.json': {
        control: { socket: 'run/control' },
        processes: {
          a: { command: 'a', env_file: 'a.env', log: { file: 'a.log' } },
          b: { command: 'b', cwd: 'sub' },
          c: { command: 'c', cwd: 'sub' },
        },
      },
      'lib/a.env': 'FROM=lib',
      'commonplace.json': {
        extends: 'lib/base.json',
        processes: { b: { command: 'b2' }, c: { cwd: 'other', log: { file: 'c.log' } }, d: { command: 'd' } },
      },
    })
    const { control, processes } = load()
    const [a, b, c, d] = processes
    const at = (name: string) => join(folder, name)
    expect(control?.socketPath).toBe(at('lib/run/control'))
    expect([a?.cwd, a?.env['FROM'], a?.log.file?.path]).toEqual([at('lib'), 'lib', at('lib/a.log')])
    expect(b?.cwd).toBe(at('lib/sub'))
    expect([c?.cwd, c?.log.file?.path]).toEqual([at('other'), at('c.log')])
    expect(d?.cwd).toBe(folder)
    expect(a?.env['PATH']).toMatch(new RegExp(`^${at('lib/node_modules/.bin')}:`))
    expect(a?.env['PATH']).toContain(at('node_modules/.bin'))
  })

  it('reports each error in the file in which the value stands', () => {
    const text = `{
  // shared
  "processes": { "web": { "command": "web", "kind": "job" } }
}`
    expect(
      failure({
        'lib/base.json': text.replace('"web": {', '"db": {"command": "db"}, "web": {'),
        'commonplace.json': { extends: 'lib/base.json', processes: { web: { cmd: 'x', depends_on: ['dbb'] } } },
      }).split('\n'),
    ).toEqual([
      'lib/base.json:3:78: processes.web.kind: expected one of "service", "task", got "job"; did you mean "task"?',
      expect.stringMatching(/^commonplace\.json:1:\d+: processes\.web\.cmd: unknown key; /),
      expect.stringMatching(/^commonplace\.json:1:\d+: processes\.web\.depends_on\[0\]: .*did you mean "db"\?$/),
      '3 errors in lib/base.json and commonplace.json',
    ])
  })

  it('reports duplicate keys and broken JSON of an extended file', () => {
    const over = { extends: 'base.json' }
    const duplicate = '{"processes": {"a": {"command": "a"}, "a": {"command": "b"}}}'
    expect(failure({ 'commonplace.json': over, 'base.json': duplicate })).toBe(
      'base.json:1:39: processes.a: duplicate key; remove one of them',
    )
    expect(failure({ 'commonplace.json': over, 'base.json': '{"processes": {]}' })).toMatch(
      /^base\.json:1:16: expected a key/,
    )
  })

  it('rejects a null that removes nothing', () => {
    expect(
      failure({ 'base.json': base, 'commonplace.json': { extends: 'base.json', processes: { wbe: null } } }),
    ).toContain(
      'processes.wbe: expected an object that describes a process, got null; null removes a key, but no earlier file has it',
    )
  })

  it.each([
    [{ extends: 'none.json' }, 'commonplace.json:1:12: extends: none.json does not exist'],
    [{ extends: ['base.json', 'none.json'] }, 'commonplace.json:1:25: extends[1]: none.json does not exist'],
    [{ extends: 'sub' }, 'commonplace.json:1:12: extends: sub is not a regular file'],
    [{ extends: 5 }, 'commonplace.json:1:12: extends: expected the path of a file, or a list of paths, got 5'],
    [
      { extends: '${BASE}' },
      'commonplace.json:1:12: extends: variables are not possible here; write the path of the file',
    ],
    [
      { extends: 'commonplace.json' },
      'commonplace.json:1:12: extends: a file extends itself: commonplace.json → commonplace.json',
    ],
    [
      { extends: 'loop.json' },
      'loop.json:1:12: extends: a file extends itself: commonplace.json → loop.json → commonplace.json',
    ],
    [{ extends: Array(60).fill('many.json') }, 'commonplace.json:1:409: extends[33]: more than 100 files are extended'],
  ])('of %j is rejected where it stands', (over, message) => {
    mkdirSync(join(folder, 'sub'))
    const files = {
      'base.json': base,
      'many.json': { extends: ['base.json', 'base.json'] },
      'loop.json': { extends: './sub/../commonplace.json' },
      'commonplace.json': over,
    }
    expect(failure(files)).toBe(message)
  })

  it('finds a cycle through symbolic links', () => {
    write({ 'commonplace.json': { extends: 'link/commonplace.json' } })
    symlinkSync('.', join(folder, 'link'))
    expect(failure({})).toContain('a file extends itself: commonplace.json → link/commonplace.json')
  })
})

describe('the local file', () => {
  it('is merged over the file beside it', () => {
    write({
      'commonplace.json': base,
      'commonplace.local.json': '{"processes": {"db": null, /* mine */ "web": {"env": {"B": "local"}},},}',
    })
    const { processes, files, path } = load()
    expect(processes.map(({ name, env }) => [name, env['A'], env['B']])).toEqual([['web', '1', 'local']])
    expect(files).toEqual(['commonplace.json', 'commonplace.local.json'].map((name) => join(folder, name)))
    expect(path).toBe(join(folder, 'commonplace.json'))
  })

  it('belongs to the named file only, and has no local file itself', () => {
    const local = { processes: { web: { args: ['local'] } } }
    write({
      'base.json': base,
      'base.local.json': local,
      'dev.json': { extends: 'base.json' },
      'dev.local.json': base,
      'dev.local.local.json': local,
    })
    expect(summary(load('dev.json'))['web']).toEqual(['web', 'a', 'b'])
    expect(summary(load('base.json'))['web']).toEqual(['web', 'local'])
    expect(summary(load('dev.local.json'))['web']).toEqual(['web', 'a', 'b'])
  })

  it('is rejected with extends, and if it is not a regular file', () => {
    const local = 'commonplace.local.json'
    expect(failure({ 'commonplace.json': base, [local]: { extends: 'x.json' } })).toBe(
      `${local}:1:12: extends: is not possible in a local file; write it in commonplace.json`,
    )
    rmSync(join(folder, local))
    execFileSync('mkfifo', [join(folder, local)])
    expect(failure({})).toBe(`${local} is not a regular file; remove or rename it`)
    rmSync(join(folder, local))
    mkdirSync(join(folder, local))
    expect(failure({})).toBe(`${local} is not a regular file; remove or rename it`)
  })
})
