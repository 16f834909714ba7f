import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folder, load, one, path, problems, store } from '../../../test/rig/configuration/config.ts'
import { ConfigError } from './errors.ts'

const watch = { folder, paths: ['src'], ignore: [], debounceMs: 200 }

describe('watch', () => {
  it.each([
    [{}, null],
    [{ watch: false }, null],
    [{ watch: true }, { ...watch, paths: [folder] }],
    [
      { watch: true, cwd: 'web' },
      { ...watch, paths: [join(folder, 'web')] },
    ],
    [{ watch: { paths: ['src'] } }, watch],
    [{ watch: { paths: ['${DIR:-src}'] } }, watch],
    [
      { watch: { ignore: ['*.md'], debounce_ms: 0 }, cwd: 'web' },
      { folder, paths: [join(folder, 'web')], ignore: ['*.md'], debounceMs: 0 },
    ],
  ])('of %j is resolved with defaults', (process, expected) => {
    expect(one(process).watch).toEqual(expected)
  })

  it('is set by --watch for a process without the key, and keeps the key of others', () => {
    expect(one({}, { watch: ['store'] }).watch).toEqual({ ...watch, paths: [folder] })
    expect(one({ watch: false }, { watch: ['store'] }).watch).toEqual({ ...watch, paths: [folder] })
    expect(one({ watch: { paths: ['src'] } }, { watch: ['store'] }).watch).toEqual(watch)
    expect(one({ watch: { paths: ['src'] } }, { watch: false }).watch).toBeNull()
  })

  it('is the same for all replicas', () => {
    const { processes } = load({ processes: { store: { ...store, replicas: 2 } } }, { watch: ['store'] })
    expect(processes.map((process) => process.watch)).toEqual([1, 2].map(() => ({ ...watch, paths: [folder] })))
  })

  it.each([
    ['src', 'expected true, false, or an object such as {"paths": ["src"]}, got "src"'],
    [{ paths: [] }, '.paths: expected a list of at least one path or glob, got an empty list'],
    [
      { paths: ['!src'] },
      '.paths[0]: expected a path or glob without "!"; write the exception under "ignore", got "!src"',
    ],
    [
      { paths: ['src/*.{js,ts}'] },
      '.paths[0]: expected a path or glob without {a,b}; write one entry for each, got "src/*.{js,ts}"',
    ],
    [{ path: ['src'] }, '.path: unknown key; did you mean "paths"?'],
    [{ ignore: '*.md' }, '.ignore: expected a list of rules as in .gitignore, got "*.md"'],
  ])('%j is refused', (value, problem) => {
    const [found] = problems({ processes: { store: { ...store, watch: value } } })
    expect(found).toBe(`processes.store.watch${problem.startsWith('.') ? '' : ': '}${problem}`)
  })

  it.each([
    ['stoer', '--watch "stoer": there is no such process; did you mean "store"?'],
    ['off', '--watch: "off" is disabled in the file'],
    ['many#1', '--watch "many#1": all replicas watch the same files; name the process'],
  ])('--watch %s is refused (O-6)', (name, message) => {
    const processes = { store, off: { ...store, disabled: true }, many: { ...store, replicas: 2 } }
    expect(() => load({ processes }, { path, watch: [name] })).toThrow(new ConfigError(message))
  })
})

describe('schedule', () => {
  const task = { ...store, kind: 'task' }

  it('is an expression of a task', () => {
    expect(one({ kind: 'task', schedule: '0 3 * * *' }).schedule).toBe('0 3 * * *')
    expect(one({ kind: 'task' }).schedule).toBeNull()
  })

  it.each([
    [
      { a: { ...task, schedule: '60 * * * *' } },
      'processes.a.schedule: expected a schedule such as "0 3 * * *" or "@daily" (the minute "60" is not 0 to 59, a range such as 0-59, or a step such as */2), got "60 * * * *"',
    ],
    [
      { a: { ...store, schedule: '@daily' } },
      'processes.a.schedule: needs "kind": "task": a schedule runs a task to its end, while a service runs all the time',
    ],
    [
      { a: { ...task, schedule: '@daily' }, b: { ...store, depends_on: ['a'] } },
      'processes.b.depends_on[0]: "a" runs only at the times of its "schedule", so that nothing can wait for it; remove one of the two',
    ],
    [
      { a: { ...task, schedule: '@daily' }, b: { ...store, depends_on: { a: { condition: 'started' } } } },
      'processes.b.depends_on.a: "a" runs only at the times of its "schedule", so that nothing can wait for it; remove one of the two',
    ],
  ])('of %j is refused', (processes, problem) => {
    expect(problems({ processes })).toEqual([problem])
  })
})

describe('on_failed', () => {
  const line = { type: 'command', command: '/bin/sh', args: ['-c', 'mail ${PONIX_PROCESS}'], cwd: folder }

  it('is a line for the shell, a program or a webhook; that of the file is the default', () => {
    const processes = {
      store,
      own: { ...store, on_failed: { command: 'mail', args: ['${HOME}'] } },
      hook: { ...store, env: { KEY: 'abc' }, on_failed: { webhook: 'https://example.com/${KEY}' } },
    }
    expect(load({ on_failed: 'mail ${PONIX_PROCESS}', processes }).processes.map(({ onFailed }) => onFailed)).toEqual([
      line,
      { type: 'command', command: 'mail', args: ['/home/me'], cwd: folder },
      { type: 'webhook', url: 'https://example.com/abc' },
    ])
    expect(one({}).onFailed).toBeNull()
  })

  it.each([
    [{ webhook: 'ftp://example.com/hunter2' }, '.webhook: expected an http or https URL'],
    [
      { webhook: '${NOT_SET}' },
      '.webhook: ${NOT_SET} is not set and has no default; set NOT_SET, or write ${NOT_SET:-default}',
    ],
    [{}, ': needs exactly one of command, webhook'],
    [{ webhook: 'http://a/', args: ['x'] }, '.args: has no effect without "command"'],
    [true, ': expected a line for /bin/sh, or an object with "command" or "webhook", got true'],
  ])('%j is refused', (on_failed, problem) => {
    expect(problems({ processes: { store: { ...store, on_failed } } })).toContain(`processes.store.on_failed${problem}`)
  })
})

describe('memory_limit', () => {
  it.each([
    ['150MB', 150_000_000],
    ['1 GiB', 1_073_741_824],
    [5_000_000, 5_000_000],
    [undefined, null],
  ])('%j is %j bytes', (memory_limit, bytes) => {
    expect(one({ memory_limit }).memoryLimit).toBe(bytes)
  })

  it('is refused for a task', () => {
    expect(problems({ processes: { store: { ...store, kind: 'task', memory_limit: '1GB' } } })).toEqual([
      'processes.store.memory_limit: is not possible for a task, which would run again from its beginning',
    ])
  })
})
