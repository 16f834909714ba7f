import { describe, expect, it } from 'vitest'
import { load } from '../../../../test/rig/orchestrator/config.ts'
import { variablesForFile } from './compose-variables.ts'
import { memoryLimit } from './compose-runtime.ts'
import { draftFromCompose } from './compose.ts'
import { commandOf, type Draft, freeName } from './draft.ts'
import { draftFromPackages } from './package-scripts.ts'
import { draftFromProcfile } from './procfile.ts'
import { renderFile, renderJson } from './render.ts'

/** Returns the processes, after the check that the rendered file is valid. */
function processesOf({ processes }: Draft): unknown {
  load(renderFile(processes, { source: 'a test' }))
  return Object.fromEntries(processes)
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
      web: { command: 'serve', depends_on: ['release'] },
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
      'script "dev": starts other scripts, which are processes of their own',
      'script "start:api": left out, because "dev:api" was taken instead',
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

it.each([
  ['$A/${B}', '${A:-}/${B:-}'],
  ['${A:-x} ${B-y}', '${A:-x} ${B:-y}'],
  ['${A:?no} ${B?no}', '${A} ${B}'],
  ['5$$ $${A}', '5$ $${A}'],
  ['${A:+x}', '$${A:+x}'],
  ['1$ $1', '1$ $1'],
])('the variables of Compose in %j become %j', (text, expected) => expect(variablesForFile(text)).toBe(expected))

describe('a Compose file', () => {
  const read = (text: string, files: readonly string[] = []) =>
    draftFromCompose(text, 'compose.yaml', (path) => files.includes(path))

  it('has a process per service with a command', async () => {
    const draft = await read(`
x-env: &env { LOG: debug }
services:
  db:
    image: postgres:16
  migrate:
    build: .
    command: node migrate.js
    depends_on: { db: { condition: service_healthy } }
  api:
    build: { context: ./api }
    entrypoint: ["node"]
    command: ["server.js", "--port", 3000]
    environment: { <<: *env, PORT: 3000, DEBUG: true, INHERITED: , URL: "http://$HOST/\${NAME}", PRICE: "5$$" }
    healthcheck: { test: curl -f http://localhost:3000/health || exit 1, interval: 10s, timeout: 3s, retries: 5 }
    depends_on:
      migrate: { condition: service_completed_successfully }
      db: { condition: service_started }
    restart: unless-stopped
    stop_signal: INT
    stop_grace_period: 1m30s
    profiles: [dev]
    networks: [back]
    volumes: [".:/app"]
    ports: ["8080:3000"]
  worker:
    image: node:22
    command: sh -c "node worker.js | tee log"
    depends_on: [api]
    environment: ["A=1", "B"]
    deploy: { replicas: 3 }
    restart: on-failure:5
    working_dir: /app
`)
    expect(processesOf(draft)).toEqual({
      migrate: { command: 'node', args: ['migrate.js'], kind: 'task' },
      api: {
        command: 'node',
        args: ['server.js', '--port', '3000'],
        cwd: './api',
        env: { LOG: 'debug', PORT: '3000', DEBUG: 'true', URL: 'http://${HOST:-}/${NAME:-}', PRICE: '5$' },
        depends_on: { migrate: { condition: 'completed_successfully' } },
        readiness_probe: { http_get: 'http://localhost:3000/health', timeout_ms: 3000, failure_threshold: 5 },
        shutdown: { signal: 'SIGINT', timeout_ms: 90_000 },
        profiles: ['dev'],
      },
      worker: {
        command: 'node worker.js | tee log',
        shell: true,
        env: { A: '1' },
        depends_on: ['api'],
        restart: { policy: 'on_failure', max_attempts: 5 },
        replicas: 3,
      },
    })
    expect(draft.notes).toEqual([
      'db: left out, because image postgres:16 runs only in a container; add its program as "command", or keep it in Compose',
      'migrate: depends_on db left out, because db was not taken over',
      'api: depends_on db left out, because db was not taken over',
      'api: healthcheck.interval 10s left out: the probe runs every 200 ms until it succeeds, then every 5 s; see "period_ms"',
      'api: ports 8080:3000: the process itself must listen on the port',
      'api: not taken over: networks, volumes',
      'worker: working_dir /app is a folder of the container; set "cwd" if . is wrong',
      'worker: image node:22 is not used; its programs must be installed here',
    ])
  })

  it.each([
    ['test: ["CMD", "pg_isready", "-q"]', { exec: ['pg_isready', '-q'] }],
    ['test: ["CMD-SHELL", "pg_isready -U $$USER"]', { exec: 'pg_isready -U $USER' }],
    ['test: ["CMD", "wget", "-q", "--spider", "http://localhost/up"]', { http_get: 'http://localhost/up' }],
    ['test: curl --fail -s localhost:80/', { http_get: 'http://localhost:80/' }],
    ['test: curl -X POST http://localhost/', { exec: 'curl -X POST http://localhost/' }],
    ['test: ["NONE"]', undefined],
    ['disable: true', undefined],
  ])('has the probe of the healthcheck %s', async (healthcheck, probe) => {
    const draft = await read(`services: {a: {command: x, healthcheck: {${healthcheck}}}}`)
    expect(processesOf(draft)).toMatchObject({ a: { command: 'x' } })
    expect(draft.processes.get('a')?.['readiness_probe']).toEqual(probe)
  })

  it.each([
    ['', { policy: 'on_failure' }],
    ['restart: always', undefined],
    ['restart: "no"', { policy: 'never' }],
    ['restart: on-failure', { policy: 'on_failure' }],
  ])('translates %j', async (restart, expected) => {
    const { processes } = await read(`services: {a: {command: x, ${restart}}}`)
    expect(processes.get('a')?.['restart']).toEqual(expected)
  })

  it('takes env files that exist, and replicas without a common address', async () => {
    const draft = await read(
      `services:
  a: { command: x, env_file: [a.env, { path: b.env, required: false }] }
  b: { command: x, env_file: c.env, scale: 2, healthcheck: { test: "curl http://localhost/" }, stop_signal: RTMIN }
  c: { command: { bad: form } }
  d: { build: . }`,
      ['a.env'],
    )
    expect(Object.fromEntries(draft.processes)).toMatchObject({
      a: { env_file: ['a.env', { path: 'b.env', required: false }] },
      b: { command: 'x', env_file: { path: 'c.env', required: false } },
    })
    expect(draft.processes.get('b')).toMatchObject({ replicas: 2 })
    expect(draft.processes.get('b')).not.toHaveProperty('readiness_probe')
    expect(draft.notes).toEqual([
      'c: not taken over, because "command" has an unknown form',
      'd: left out, because its command is in the Dockerfile; add it as "command"',
      'b: env_file c.env does not exist; it is optional now',
      'b: healthcheck left out, because all replicas would have the address http://localhost/; give each its own port, such as 300${PONIX_REPLICA}, in "env" and in a "readiness_probe"',
      'b: stop_signal RTMIN is not supported; set "shutdown": {"signal": …}',
    ])
  })

  it('has the terminal, the memory limit, the watched files and the restart with a dependency', async () => {
    const draft = await read(`
services:
  db: { command: x, mem_limit: 1gb, stdin_open: true }
  api:
    command: x
    tty: true
    deploy: { resources: { limits: { memory: 512M, cpus: "0.5" } }, mode: global }
    develop:
      watch:
        - { action: rebuild, path: ./package.json }
        - { action: sync+restart, path: ./src, target: /app, ignore: [node_modules/, gen/x] }
        - { action: sync, path: ./web, target: /web }
    depends_on: { db: { condition: service_started, restart: true } }
    build: { context: ., dockerfile: Dockerfile.api }
    expose: [1]
volumes: { data: {} }
`)
    expect(processesOf(draft)).toEqual({
      db: { command: 'x', restart: { policy: 'on_failure' }, memory_limit: '1GiB' },
      api: {
        command: 'x',
        restart: { policy: 'on_failure' },
        tty: true,
        memory_limit: '512MiB',
        watch: { paths: ['./package.json', './src'], ignore: ['node_modules/', '/src/gen/x'] },
        depends_on: { db: { condition: 'started' } },
        on_dependency_restart: 'restart',
      },
    })
    expect(draft.notes).toEqual([
      'db: stdin_open left out; "tty": true gives a terminal to type into',
      'api: develop.watch of ./web left out: "sync" restarts nothing',
      'api: not taken over: build.dockerfile, deploy.resources.limits.cpus, deploy.mode, expose',
      'not taken over: volumes',
    ])
  })

  it.each([
    ['512m', '512MiB'],
    ['1.5g', '1.5GiB'],
    ['64kb', '64KiB'],
    ['1000b', 1000],
    [1000, 1000],
    ['0', null],
    ['much', null],
  ])('translates the size %j to %j', (size, expected) => expect(memoryLimit(size)).toBe(expected))
})

it('the file has one line for what fits, and one entry per line otherwise', () => {
  const long = 'x'.repeat(60)
  expect(renderJson({ a: [1, 'b'], c: { d: long, e: [long] } })).toBe(
    `{\n  "a": [1, "b"],\n  "c": {\n    "d": "${long}",\n    "e": ["${long}"]\n  }\n}`,
  )
})
