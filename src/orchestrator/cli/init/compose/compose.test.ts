import { describe, expect, it } from 'vitest'
import { processesOf, readCompose, readService } from '../../../../../test/rig/configuration/compose-draft.ts'

describe('a Compose file', () => {
  it('has a process per service with a command', async () => {
    const draft = await readCompose(`
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
    const draft = await readCompose(`
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
    ['stop_signal: SIGQUIT', { signal: 'SIGQUIT' }],
    ['stop_signal: usr1', { signal: 'SIGUSR1' }],
    ['stop_signal: 2', { signal: 'SIGINT' }],
    ['stop_signal: "15", stop_grace_period: 1h2m3s4ms', { signal: 'SIGTERM', timeout_ms: 3_723_004 }],
    ['init: true', undefined],
  ])('translates the shutdown %j', async (keys, expected) => {
    const { process, notes } = await readService(keys)
    expect([process['shutdown'], notes]).toEqual([expected, []])
  })

  it('has the folder of the project that is mounted at the working directory', async () => {
    const draft = await readCompose(`
services:
  a: { image: node, command: x, working_dir: /app, volumes: ["./api:/app"] }
  b: { image: node, command: x, working_dir: /app/web, volumes: [{ type: bind, source: ., target: /app }] }
  c: { image: node, command: x, working_dir: sub }
`)
    expect(processesOf(draft)).toMatchObject({ a: { cwd: './api' }, b: { cwd: 'web' }, c: { cwd: 'sub' } })
    expect(draft.notes.filter((note) => note.includes('working_dir'))).toEqual([])
  })

  it('takes env files that exist, and replicas without a common address', async () => {
    const draft = await readCompose(
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
    const draft = await readCompose(`
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

  it('names the files that Compose would merge, and what it cannot include', async () => {
    const { notes } = await readCompose('include: [x.yaml]\nservices: { a: { build: ., command: x } }', {
      'compose.override.yaml': '',
    })
    const merge = 'run "docker compose config --no-interpolate > merged.yaml" and use --from merged.yaml'
    expect(notes).toEqual([
      `not taken over: include (for "include", ${merge})`,
      `compose.override.yaml was not read; to take it over, ${merge}`,
    ])
  })
})
