import { describe, expect, it } from 'vitest'
import { load } from '../../../../../test/rig/orchestrator/config.ts'
import { projectFolder } from '../../../../../test/rig/orchestrator/project-folder.ts'
import type { Draft } from '../draft.ts'
import { renderFile } from '../render.ts'
import { draftFromCompose } from './compose.ts'
import { memoryLimit } from './runtime.ts'

const read = (
  text: string,
  files: Readonly<Record<string, string>> = {},
  shell: Readonly<Record<string, string>> = {},
) => draftFromCompose(text, 'compose.yaml', projectFolder(files), shell)

/** Returns the processes, after the check that the rendered file is valid with these variables. */
function processesOf(
  draft: Draft,
  environment: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> {
  load(renderFile(draft, { source: 'a test' }), { environment: { PATH: '/usr/bin', ...environment } })
  return Object.fromEntries(draft.processes)
}

/** Reads a service with a command and these keys. */
const service = async (keys: string, files: Readonly<Record<string, string>> = {}) => {
  const draft = await read(`services:\n  a: { build: ., command: x, ${keys} }\n`, files)
  return { process: Object.fromEntries(Object.entries(processesOf(draft)['a'] ?? {})), notes: draft.notes }
}

describe('a Compose file', () => {
  it('has a process per service with a command', async () => {
    const draft = await read(`
x-env: &env { LOG: debug }
services:
  migrate:
    build: .
    command: node migrate.js
  api:
    build: { context: ./api, args: [A=1] }
    entrypoint: ["node"]
    command: ["server.js", "--port", 3000]
    environment: { <<: *env, PORT: 3000, DEBUG: true, INHERITED: , PRICE: "5$$" }
    depends_on:
      migrate: { condition: service_completed_successfully }
    restart: unless-stopped
    stop_signal: INT
    stop_grace_period: 1m30s
    profiles: [dev]
    networks: [back]
    volumes: [".:/app"]
    ports: ["8080:3000", "9229:9229"]
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
        env: { LOG: 'debug', PORT: '3000', DEBUG: 'true', PRICE: '5$' },
        depends_on: { migrate: { condition: 'completed_successfully' } },
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
      'api: ports 8080:3000: nothing forwards ports here; the program itself must listen on the port that clients use',
      'api: not taken over: build.args, volumes, networks',
      'worker: working_dir /app is a folder of the container; set "cwd" if . is wrong',
      'worker: image node:22 is not used; its programs must be installed here',
    ])
  })

  it('has the terminal, the memory limit, the watched files and the restart with a dependency', async () => {
    const draft = await read(`
services:
  db: { build: ., command: x, mem_limit: 1gb, stdin_open: true }
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
      'api: not taken over: deploy.resources.limits.cpus, deploy.mode, expose',
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

  it.each([
    ['', { policy: 'on_failure' }],
    ['restart: always', undefined],
    ['restart: "no"', { policy: 'never' }],
    ['restart: on-failure', { policy: 'on_failure' }],
    ['restart: on-failure:3', { policy: 'on_failure', max_attempts: 3 }],
    ['deploy: { restart_policy: {} }, restart: "no"', undefined],
    ['deploy: { restart_policy: { condition: none, delay: 5s } }', { policy: 'never' }],
    ['deploy: { restart_policy: { delay: 1m30s } }', { backoff_ms: 90_000, max_backoff_ms: 90_000 }],
    [
      'deploy: { restart_policy: { condition: on-failure, delay: 500ms, max_attempts: 3, window: 2m } }',
      { policy: 'on_failure', backoff_ms: 500, max_backoff_ms: 500, max_attempts: 3, window_ms: 120_000 },
    ],
  ])('translates the restart policy %j', async (keys, expected) => {
    const { process, notes } = await service(keys)
    expect([process['restart'], notes]).toEqual([expected, []])
  })

  it.each([
    ['test: ["CMD", "pg_isready", "-q"]', { exec: ['pg_isready', '-q'] }],
    ['test: ["CMD-SHELL", "pg_isready -U $$USER"]', { exec: 'pg_isready -U $USER' }],
    ['test: ["CMD", "wget", "-q", "--spider", "http://localhost/up"]', { http_get: 'http://localhost/up' }],
    ['test: curl --fail -s localhost:80/', { http_get: 'http://localhost:80/' }],
    ['test: "curl -f http://localhost:${PORT:-80}/ || exit 1"', { http_get: 'http://localhost:${PORT:-80}/' }],
    ['test: curl -X POST http://localhost/', { exec: 'curl -X POST http://localhost/' }],
    ['test: "echo ${A:-b} | cat"', { exec: ['/bin/sh', '-c', 'echo ${A:-b} | cat'] }],
    [
      'test: check, interval: 2s, timeout: 1m30s, retries: 4',
      { exec: 'check', period_ms: 2000, timeout_ms: 90_000, failure_threshold: 4 },
    ],
    ['test: check, timeout: 500ms', { exec: 'check', timeout_ms: 500 }],
    ['test: ["NONE"]', undefined],
    ['test: check, disable: true', undefined],
    ['interval: 3s', undefined],
  ])('has the probe of the healthcheck %s', async (healthcheck, probe) => {
    const { process, notes } = await service(`healthcheck: {${healthcheck}}`)
    expect([process['readiness_probe'], notes]).toEqual([probe, []])
  })

  it('waits for a slow start as long as Compose does, and names what a healthcheck cannot have', async () => {
    const slow = await service('healthcheck: { test: x, start_period: 3m, interval: 30s, retries: 2 }')
    expect(slow.process).toMatchObject({
      readiness_probe: { exec: 'x', failure_threshold: 2 },
      startup_timeout_ms: 240_000,
    })
    expect(slow.notes).toEqual([
      'a: healthcheck.interval 30s left out: the probe runs every 200 ms until it succeeds, then every 5 s; see "period_ms"',
    ])
    const wrong = await service('healthcheck: { test: [RUN, x], timeout: soon }, stop_grace_period: 5 minutes')
    expect(wrong.process).not.toHaveProperty('readiness_probe')
    expect(wrong.notes).toEqual([
      'a: healthcheck left out: its "test" begins with RUN; expected CMD, CMD-SHELL or NONE',
      'a: stop_grace_period 5 minutes is not a duration such as 1m30s; left out',
    ])
  })

  it.each([
    ['stop_signal: SIGQUIT', { signal: 'SIGQUIT' }],
    ['stop_signal: usr1', { signal: 'SIGUSR1' }],
    ['stop_signal: 2', { signal: 'SIGINT' }],
    ['stop_signal: "15", stop_grace_period: 1h2m3s4ms', { signal: 'SIGTERM', timeout_ms: 3_723_004 }],
    ['init: true', undefined],
  ])('translates the shutdown %j', async (keys, expected) => {
    const { process, notes } = await service(keys)
    expect([process['shutdown'], notes]).toEqual([expected, []])
  })

  it.each([
    ['node x --glob *.js', ['--glob', '*.js']],
    [`node 'a b' "c \\"d\\"" e\\ f g'h'`, ['a b', 'c "d"', 'e f', 'gh']],
    ['node $$HOME ${B:-c}', ['$HOME', '${B:-c}']],
  ])('splits the command %j without a shell', async (command, args) => {
    const draft = await read(JSON.stringify({ services: { a: { build: '.', command } } }))
    const expected = command.startsWith('node x') ? ['x', ...args] : args
    expect(processesOf(draft)).toMatchObject({ a: { command: 'node', args: expected } })
  })

  it.each([
    [['sh', '-c', 'a && echo $$B'], { command: 'a && echo $B', shell: true }],
    [['/bin/sh', '-c', 'a ${B:-c}'], { command: '/bin/sh', args: ['-c', 'a ${B:-c}'] }],
    [['bash', '-c', 'a && b'], { command: 'bash', args: ['-c', 'a && b'] }],
  ])('has the command %j', async (command, expected) => {
    const draft = await read(JSON.stringify({ services: { a: { build: '.', command } } }))
    expect(processesOf(draft)['a']).toEqual({ ...expected, restart: { policy: 'on_failure' } })
  })

  it('has the folder of the project that is mounted at the working directory', async () => {
    const draft = await read(`
services:
  a: { image: node, command: x, working_dir: /app, volumes: ["./api:/app"] }
  b: { image: node, command: x, working_dir: /app/web, volumes: [{ type: bind, source: ., target: /app }] }
  c: { image: node, command: x, working_dir: sub }
`)
    expect(processesOf(draft)).toMatchObject({ a: { cwd: './api' }, b: { cwd: 'web' }, c: { cwd: 'sub' } })
    expect(draft.notes.filter((note) => note.includes('working_dir'))).toEqual([])
  })

  it('takes the command of the Dockerfile', async () => {
    const files = {
      'api/Dockerfile': 'FROM node AS dev\n# CMD no\nCMD ["npm", \\\n  "start"]\nFROM dev\nCMD echo $HOME\n',
      './Dockerfile': 'FROM x\nENTRYPOINT ["serve"]\nCMD ["--port", "1"]\n',
      'image/Dockerfile': 'FROM nginx\nCOPY . .\n',
      'bin/Dockerfile': 'FROM scratch\nCMD ["/server"]\n',
    }
    const draft = await read(
      `
services:
  dev: { build: { context: api, target: dev } }
  last: { build: api }
  root: { build: ., command: --port 2 }
  plain: { build: . }
  image: { build: image }
  bin: { build: bin }
  none: { build: none }
`,
      files,
    )
    expect(processesOf(draft)).toMatchObject({
      dev: { command: 'npm', args: ['start'], cwd: 'api' },
      last: { command: 'echo $HOME', shell: true },
      root: { command: 'serve', args: ['--port', '2'] },
      plain: { command: 'serve', args: ['--port', '1'] },
    })
    const left = (name: string) =>
      `${name}: left out, because its command is in the Dockerfile; add it as "command", or keep it in Compose: docker compose up -d ${name}`
    expect(draft.notes).toEqual(expect.arrayContaining([left('image'), left('bin'), left('none')]))
  })

  it('takes env files that exist, and replicas without a common address', async () => {
    const draft = await read(
      `
services:
  a: { build: ., command: x, env_file: [a.env, { path: b.env, required: false }] }
  b: { build: ., command: x, env_file: c.env, scale: 2, healthcheck: { test: "curl http://localhost/" }, stop_signal: RTMIN }
  c: { command: { bad: form } }
`,
      { 'a.env': 'A=1' },
    )
    expect(Object.fromEntries(draft.processes)).toMatchObject({
      a: { env_file: ['a.env', { path: 'b.env', required: false }] },
      b: { command: 'x', env_file: { path: 'c.env', required: false }, replicas: 2 },
    })
    expect(draft.processes.get('b')).not.toHaveProperty('readiness_probe')
    expect(draft.notes).toEqual([
      'c: not taken over, because "command" has an unknown form',
      'b: env_file c.env does not exist; it is optional now',
      'b: healthcheck left out, because all replicas would have the address http://localhost/; give each its own port, such as 300${PONIX_REPLICA}, in "env" and in a "readiness_probe"',
      'b: stop_signal RTMIN is not supported; set "shutdown": {"signal": …}',
    ])
  })

  it('waits for a dependency that is not required, and drops one that is not there without a note', async () => {
    const draft = await read(`
services:
  a:
    build: .
    command: x
    depends_on: { b: { condition: service_healthy, required: false }, c: { required: false }, d: {} }
  b: { build: ., command: x }
  c: { build: nowhere }
  d: { build: nowhere }
`)
    expect(processesOf(draft)['a']).toMatchObject({ depends_on: { b: { condition: 'ready' } } })
    expect(draft.notes.filter((note) => note.startsWith('a:'))).toEqual([
      'a: depends_on.b.required left out: it waits for b, unless b is left out of the run',
      'a: depends_on d left out, because d was not taken over',
    ])
  })

  it.each([
    ['"no"', undefined, []],
    ['on-failure', { policy: 'on_failure' }, []],
    ['always', undefined, ['t: restart left out, because other services wait for its end']],
  ])('restarts a task whose restart is %s as %j', async (restart, expected, notes) => {
    const draft = await read(`
services:
  t: { build: ., command: x, restart: ${restart} }
  a: { build: ., command: x, depends_on: { t: { condition: service_completed_successfully } } }
`)
    expect(processesOf(draft)['t']).toEqual({
      command: 'x',
      kind: 'task',
      ...(expected === undefined ? {} : { restart: expected }),
    })
    expect(draft.notes).toEqual(notes)
  })

  it('merges the services that a service extends, in the same file and in others', async () => {
    const draft = await read(
      `
services:
  base: { build: ., command: x one, environment: [A=1, B=1], depends_on: [other], profiles: [p] }
  own: { extends: base, command: x two, environment: { B: 2 }, depends_on: { other: { condition: service_healthy } } }
  far: { extends: { file: ./common/base.yml, service: web }, environment: [C=3], env_file: own.env }
  other: { build: ., command: y }
  loop: { extends: { service: loop }, build: ., command: z }
  lost: { extends: { file: none.yml, service: web }, build: ., command: z }
`,
      {
        'common/base.yml': `services:
  web: { extends: { file: ../deep.yml, service: deep }, build: { context: ../web }, env_file: base.env, develop: { watch: [{ action: restart, path: ./src }] } }`,
        'deep.yml': 'services: { deep: { command: deep, environment: [C=1, D=4] } }',
        'common/base.env': '',
        'own.env': '',
      },
    )
    expect(
      processesOf({ ...draft, processes: new Map([...draft.processes].filter(([name]) => name !== 'far')) }),
    ).toEqual({
      base: {
        command: 'x',
        args: ['one'],
        env: { A: '1', B: '1' },
        depends_on: ['other'],
        restart: { policy: 'on_failure' },
        profiles: ['p'],
      },
      own: {
        command: 'x',
        args: ['two'],
        env: { A: '1', B: '2' },
        depends_on: { other: { condition: 'ready' } },
        restart: { policy: 'on_failure' },
        profiles: ['p'],
      },
      other: { command: 'y', restart: { policy: 'on_failure' } },
      loop: { command: 'z', restart: { policy: 'on_failure' } },
      lost: { command: 'z', restart: { policy: 'on_failure' } },
    })
    expect(draft.processes.get('far')).toEqual({
      command: 'deep',
      cwd: 'web',
      env_file: ['common/base.env', 'own.env'],
      env: { C: '3', D: '4' },
      watch: { paths: ['common/src'] },
      restart: { policy: 'on_failure' },
    })
    expect(draft.notes).toEqual([
      'loop: extends loop left out: the services extend each other',
      'lost: extends web of none.yml left out: there is no such service',
    ])
  })

  it('names the files that Compose would merge, and what it cannot include', async () => {
    const { notes } = await read('include: [x.yaml]\nservices: { a: { build: ., command: x } }', {
      'compose.override.yaml': '',
    })
    const merge = 'run "docker compose config --no-interpolate > merged.yaml" and use --from merged.yaml'
    expect(notes).toEqual([
      `not taken over: include (for "include", ${merge})`,
      `compose.override.yaml was not read; to take it over, ${merge}`,
    ])
  })
})

describe('the variables of Compose', () => {
  const shell = { SET: 'value', EMPTY: '', DB_PASSWORD: 'from the shell' }

  it.each([
    ['$SET/${SET}', '${SET}/${SET}', []],
    ['${SET:-x} ${NONE:-x}', '${SET:-x} ${NONE:-x}', []],
    ['${NONE:-a${SET}b${OTHER:-${SET}}}', '${NONE:-a${SET}b${OTHER:-${SET}}}', []],
    ['${NONE-x}', '${NONE:-x}', ['${NONE-…} became ${NONE:-…}, whose default also replaces an empty NONE']],
    ['${EMPTY-x}', '${EMPTY}', []],
    ['${SET?no}', '${SET}', []],
    ['${SET:?no}', '${SET}', ['${SET:?…} became ${SET}, which can be empty']],
    ['${SET:+y$SET}', 'y${SET}', ['${SET:+…} became its text, because SET is set now']],
    ['${EMPTY:+y}|', '|', ['${EMPTY:+…} became empty, because EMPTY is not set now']],
    ['${EMPTY+y}|', 'y|', ['${EMPTY+…} became its text, because EMPTY is set now']],
    ['5$$ $${A} $$$${A}', '5$ $${A} $$${A}', []],
    ['$$$SET', '$value', ['$$$SET became "$" and the present value of SET']],
    ['1$ $1 ${', '1$ $1 $${', []],
    ['${SET', '$${SET', []],
    [
      '$NONE ${OTHER}',
      '${NONE} ${OTHER}',
      [
        'NONE, OTHER: not set in .env or the shell, and without a default; set them in .env, or write a default such as ${NONE:-x}',
      ],
    ],
  ])('%j becomes %j', async (text, expected, notes) => {
    const draft = await read(JSON.stringify({ services: { a: { build: '.', command: ['x', text] } } }), {}, shell)
    expect(draft.processes.get('a')).toMatchObject({ args: [expected] })
    expect(draft.notes).toEqual(notes)
  })

  it('refers to .env, whose values are not copied', async () => {
    const draft = await read(
      'services: { a: { build: ., command: x, environment: ["URL=${DB_PASSWORD}", TOKEN, "NAME=${NAME}"] } }',
      { '.env': 'DB_PASSWORD=hidden\nTOKEN=hidden\nNAME=${DB_PASSWORD}x\n' },
    )
    const text = renderFile(draft, { source: 'a test' })
    expect(text).toContain('  "env_file": { "path": ".env", "required": false },\n')
    expect(text).not.toContain('hidden')
    expect(draft.processes.get('a')?.['env']).toEqual({ URL: '${DB_PASSWORD}', NAME: '${NAME}' })
    expect(draft.notes).toEqual(['NAME in .env: variables in their values are not replaced; write the result'])
  })

  it('needs no .env without variables', async () => {
    const draft = await read('services: { a: { build: ., command: x } }', { '.env': 'A=1' })
    expect(draft).not.toHaveProperty('envFile')
  })

  it('come before a variable of the same process that has another value', async () => {
    const draft = await read(
      'services: { a: { build: ., command: x, environment: { A: "1", B: "${A:-2}", C: "${C:-3}", D: "${C:-4}", E: "${E}", F: "${E}" } } }',
      { '.env': 'E=5' },
    )
    const env = draft.processes.get('a')?.['env']
    expect(Object.keys(env ?? {})).toEqual(['B', 'D', 'A', 'C', 'E', 'F'])
  })

  it('are replaced in keys that cannot have variables', async () => {
    const draft = await read(
      `
services:
  a:
    build: .
    command: x
    deploy: { replicas: "\${COUNT:-2}" }
    tty: \${TTY:-false}
    stop_grace_period: \${GRACE}s
`,
      { '.env': 'GRACE=7' },
    )
    expect(processesOf(draft)['a']).toMatchObject({ replicas: 2, shutdown: { timeout_ms: 7000 } })
    expect(draft.notes).toEqual([
      'a: deploy.replicas: ${COUNT:-2} became "2", because this key cannot have variables',
      'a: tty: ${TTY:-false} became "false", because this key cannot have variables',
      'a: stop_grace_period: ${GRACE}s became "7s", because this key cannot have variables',
    ])
  })
})
