import { describe, expect, it } from 'vitest'
import { load } from '../../../../test/rig/configuration/config.ts'
import { commandOf, type Draft, freeName } from './draft.ts'
import { draftFromPackages } from './package-scripts.ts'
import { draftFromProcfile } from './procfile.ts'
import { renderFile, renderJson } from './render.ts'

/** Returns the processes, after the check that the rendered file is valid. */
function processesOf(draft: Draft): unknown {
  load(renderFile(draft, { source: 'a test' }))
  return Object.fromEntries(draft.processes)
}

describe('a line', () => {
  it.each([
    ['node web.js', { command: 'node', args: ['web.js'] }],
    ['  server  ', { command: 'server' }],
    [`node -e "a b" 'c d' e="f"`, { command: 'node', args: ['-e', 'a b', 'c d', 'e=f'] }],
    ['sh -c "a && b"', { command: 'a && b', shell: true }],
    ['bash -c "a && b"', { command: 'bash', args: ['-c', 'a && b'] }],
    ['x "$A"', { command: 'x "$A"', shell: true }],
    [`x '$A'`, { command: 'x', args: ['$A'] }],
    ['exec node x', { command: 'exec node x', shell: true }],
    ['cd web && vite', { command: 'cd web && vite', shell: true }],
    ['a && b', { command: 'a && b', shell: true }],
    ['PORT=3 node x', { command: 'PORT=3 node x', shell: true }],
    ['node x > log', { command: 'node x > log', shell: true }],
    ['echo $A ${B} ${C:-d}', { command: 'echo $A ${B} ${C:-d}', shell: true }],
    [`echo it's`, { command: `echo it's`, shell: true }],
    ['ls *.js', { command: 'ls *.js', shell: true }],
  ])('%j becomes %j', (line, expected) => expect(commandOf(line)).toEqual(expected))
})

it.each([
  ['web', 'web'],
  ['taken', 'taken-2'],
  ['a b/c', 'a-b-c'],
  ['7', 'process-7'],
  ['-x', 'x'],
  ['', 'process-1'],
])('the name for %j is %j', (wanted, name) => expect(freeName(wanted, new Map([['taken', 1]]))).toBe(name))

describe('a Procfile', () => {
  it('has a process per line; release runs first', () => {
    const draft = draftFromProcfile('# c\nrelease: migrate\n\nweb: serve $PORT\nwork-er: work\nbad line\n', false)
    expect(processesOf(draft)).toEqual({
      release: { command: 'migrate', kind: 'task' },
      web: { command: 'serve $PORT', shell: true, env: { PORT: '${PORT:-5100}' }, depends_on: ['release'] },
      'work-er': { command: 'work', depends_on: ['release'] },
    })
    expect(draft.notes).toEqual([
      'line 6: expected "name: command"',
      'release: all others wait for it; if it needs one of them, such as a database, write "depends_on" the other way round',
    ])
  })

  it('makes release wait for the servers of the same file', () => {
    const draft = draftFromProcfile('web: serve\nredis: redis-server\npostgres-dev: pg\nrelease: migrate\n', false)
    expect(processesOf(draft)).toEqual({
      web: { command: 'serve', env: { PORT: '${PORT:-5000}' }, depends_on: ['release'] },
      redis: { command: 'redis-server' },
      'postgres-dev': { command: 'pg' },
      release: { command: 'migrate', kind: 'task', depends_on: ['redis', 'postgres-dev'] },
    })
    expect(draft.notes).toEqual([
      'release: waits for redis, postgres-dev, and all others wait for it; add a "readiness_probe" to redis, postgres-dev, and correct "depends_on" if it needs others',
    ])
  })
})

describe('package.json', () => {
  const draft = (scripts: Readonly<Record<string, string>>) => draftFromPackages([{ folder: '', scripts }], 'pnpm')

  it('has a process per script that keeps running, for development', () => {
    const { notes, ...rest } = draft({
      build: 'tsc',
      test: 'vitest',
      lint: 'eslint .',
      prepare: 'husky',
      start: 'node dist/server.js',
      dev: 'vite --port 3000',
      preview: 'vite preview',
      worker: 'node worker.js',
      'watch:css': 'sass --watch a:b',
      'build:watch': 'tsc -w',
    })
    expect(processesOf({ notes, ...rest })).toEqual({
      dev: { command: 'vite', args: ['--port', '3000'] },
      worker: { command: 'node', args: ['worker.js'] },
      'watch:css': { command: 'sass', args: ['--watch', 'a:b'] },
    })
    expect(notes).toEqual([
      'script "start": left out, because "dev" was taken instead',
      'script "preview": left out, because its name does not say that it keeps running; add it if it does',
      'script "build:watch": left out; add it if a process needs its result',
      'scripts "build", "test", "lint", "prepare": left out, because such scripts end by themselves',
    ])
  })

  it('leaves out scripts that start others', () => {
    const { notes, ...rest } = draft({
      dev: 'concurrently npm:dev:*',
      'dev:api': 'node api.js',
      'dev:web': 'vite',
      'start:api': 'node dist/api.js',
      start: 'node index.js',
      worker: 'exec node worker.js',
    })
    expect(processesOf({ notes, ...rest })).toEqual({
      api: { command: 'node', args: ['api.js'] },
      web: { command: 'vite' },
      worker: { command: 'exec node worker.js', shell: true },
    })
    expect(notes).toEqual([
      'script "dev": starts others, which are processes of their own',
      'script "start:api": left out, because the scripts that "dev" starts were taken instead',
      'script "start": left out, because the scripts that "dev" starts were taken instead',
    ])
  })

  it('takes start if the scripts that dev starts are not known', () => {
    const { notes, processes } = draft({ dev: 'turbo run dev', start: 'node index.js', 'db:migrate': 'm', predb: 'x' })
    expect(Object.fromEntries(processes)).toEqual({ start: { command: 'node', args: ['index.js'] } })
    expect(notes).toEqual([
      'script "dev": starts other scripts, which are processes of their own',
      'script "db:migrate": left out, because it ends by itself; if others need it, add it with "kind": "task"',
      'script "predb": left out, because its name does not say that it keeps running; add it if it does',
    ])
  })

  it('names every script that is neither a process nor mentioned otherwise, of workspaces too', () => {
    const packages = [
      { folder: '', scripts: { dev: 'vite', predev: 'x', test: 'y' } },
      { folder: 'api', scripts: { test: 'y' } },
    ]
    expect(draftFromPackages(packages, 'npm').notes).toEqual([
      'scripts "predev", "test": left out, because such scripts end by themselves',
      'script "test" of api: left out, because such scripts end by themselves',
    ])
  })

  it.each<readonly [string, Readonly<Record<string, string>>, unknown]>([
    [
      'scripts of concurrently, whatever their names say',
      {
        dev: 'concurrently -kn "back,front" -c blue,green "npm:server" "npm run client"',
        server: 'a',
        client: 'b',
        start: 'c',
      },
      { back: { command: 'a' }, front: { command: 'b' } },
    ],
    [
      'command lines of concurrently',
      { dev: `concurrently 'vite --host' "node --watch src/server.js" 'FLAG=on tsc -w'` },
      {
        vite: { command: 'vite', args: ['--host'] },
        server: { command: 'node', args: ['--watch', 'src/server.js'] },
        'FLAG-on': { command: 'FLAG=on tsc -w', shell: true },
      },
    ],
    [
      'scripts that match a pattern, and have hooks',
      { dev: 'run-p dev:*', 'dev:css': 'sass', 'dev:js': 'vite', 'predev:js': 'x', 'dev:a:b': 'y' },
      {
        css: { command: 'sass' },
        js: { command: 'pnpm', args: ['run', 'dev:js'] },
      },
    ],
    [
      'steps one after the other',
      {
        start: 'npm-run-all clean build --parallel serve css',
        clean: 'rm',
        build: 'tsc',
        serve: 'node x',
        css: 'sass',
      },
      {
        clean: { command: 'rm', kind: 'task' },
        build: { command: 'tsc', kind: 'task', depends_on: ['clean'] },
        serve: { command: 'node', args: ['x'], depends_on: ['build'] },
        css: { command: 'sass', depends_on: ['build'] },
      },
    ],
    [
      'scripts that start others in turn',
      { dev: 'run-p all web', all: 'run-p one two', one: 'a', two: 'b', web: 'c' },
      { one: { command: 'a' }, two: { command: 'b' }, web: { command: 'c' } },
    ],
  ])('takes %s', (_, scripts, expected) => expect(processesOf(draft(scripts))).toEqual(expected))

  it.each([
    ['concurrently "npm:none"'],
    ['run-p dev'],
    ['concurrently --cwd x "npm:job"'],
    ['npm run build && concurrently "npm:job"'],
  ])('does not guess what %j starts', (dev) => {
    const { processes } = draft({ dev, job: 'a', start: 'b' })
    expect(Object.fromEntries(processes)).toEqual({ start: { command: 'b' } })
  })

  it('uses the package manager for scripts that need it', () => {
    expect(processesOf(draft({ predev: 'a', dev: 'vite', worker: 'echo $npm_package_version' }))).toEqual({
      dev: { command: 'pnpm', args: ['run', 'dev'] },
      worker: { command: 'pnpm', args: ['run', 'worker'] },
    })
  })

  it('has the scripts of workspaces in their folders', () => {
    const packages = [
      { folder: '', scripts: { dev: 'npm run dev --workspaces' } },
      { folder: 'packages/api', scripts: { dev: 'node api.js', 'dev:mail': 'mail' } },
    ]
    const found = draftFromPackages(packages, 'npm')
    expect(Object.fromEntries(found.processes)).toEqual({
      api: { command: 'node', args: ['api.js'], cwd: 'packages/api' },
      'api:mail': { command: 'mail', cwd: 'packages/api' },
    })
    expect(found.notes).toEqual(['script "dev": starts other scripts, which are processes of their own'])
  })
})

it('the file has one line for what fits, and one entry per line otherwise', () => {
  const long = 'x'.repeat(60)
  expect(renderJson({ a: [1, 'b'], c: { d: long, e: [long] } })).toBe(
    `{\n  "a": [1, "b"],\n  "c": {\n    "d": "${long}",\n    "e": ["${long}"]\n  }\n}`,
  )
})
