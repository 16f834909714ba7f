import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { Program } from '../../../../test/rig/program.ts'
import { toValue } from '../../config/source/json-source.ts'
import { parseJson } from '../../config/source/json-parser.ts'

const fixtures = fileURLToPath(new URL('../../../../test/fixtures/compose', import.meta.url))
const program = new CommandLine()
afterAll(() => program.dispose())

/** Creates a folder with these files; returns functions that run the program in it. */
function project(files: Readonly<Record<string, unknown>>) {
  const folder = mkdtempSync(join(program.folder, 'project-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  const start = (...args: readonly string[]) =>
    new Program(process.execPath, [program.path, ...args], {
      cwd: folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder },
      detached: true,
    })
  const read = (name = 'commonplace.json') => readFileSync(join(folder, name), 'utf8')
  const processes = (): unknown => {
    const file = toValue(parseJson({ name: '', folder, text: read() }))
    return typeof file === 'object' && file !== null && 'processes' in file ? file.processes : null
  }
  return { folder, start, read, processes, ponix: (...args: readonly string[]) => start(...args).outcome }
}

describe('init', () => {
  it('takes the only source, and the file is valid', async () => {
    const { ponix, read, processes } = project({ Procfile: 'web: node web.js -p $PORT\nworker: node worker.js\n' })
    expect(await ponix('init')).toEqual({
      code: 0,
      stdout: 'wrote commonplace.json from Procfile: web, worker\n',
      stderr: '',
    })
    expect(read().split('\n')[0]).toBe(
      '// Written by "ponix-orchestrator init" from Procfile. "ponix-orchestrator validate" checks this file; comments are allowed.',
    )
    expect(processes()).toEqual({
      web: { command: 'node web.js -p $PORT', shell: true, env: { PORT: '${PORT:-5000}' } },
      worker: { command: 'node', args: ['worker.js'] },
    })
    expect(await ponix('validate')).toMatchObject({ code: 0, stderr: '' })
  })

  it('writes a file that runs', async () => {
    const { ponix, start } = project({
      Procfile:
        'release: echo migrated\nweb: echo "port $PORT ${NAME}"; exec sleep 600\nquoted: sh -c "exec sleep 600"',
      '.env': 'NAME=shop\n',
    })
    expect((await ponix('init')).code).toBe(0)
    await using running = start()
    await running.seen(/\[release\] +migrated/)
    await running.seen(/\[web\] +port 5100 shop/)
    await running.seen(/ready after/)
    expect(await running.stop()).toBe(0)
  })

  it('asks for --from if there are several sources, and ignores files without processes', async () => {
    const files = { 'package.json': { scripts: { test: 'vitest', dev: 'vite' } }, Procfile: 'web: a\n' }
    const { ponix } = project(files)
    expect(await ponix('init')).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'ponix-orchestrator: package.json and Procfile were found; name one of them, such as --from package.json\n',
    })
    expect((await ponix('init', '--from', 'Procfile')).stdout).toBe('wrote commonplace.json from Procfile: web\n')
    const other = project({ ...files, 'package.json': { scripts: { test: 'vitest' } } })
    expect((await other.ponix('init')).stdout).toBe('wrote commonplace.json from Procfile: web\n')
  })

  it('finds Procfile.dev, as Rails has it', async () => {
    const { ponix } = project({ 'Procfile.dev': 'web: bin/rails server -p 3000\n' })
    expect((await ponix('init')).stdout).toBe('wrote commonplace.json from Procfile.dev: web\n')
  })

  it('writes an example without a source, which is valid', async () => {
    const { ponix, read } = project({ 'package.json': { scripts: { test: 'vitest', start: 'pm2 start x' } } })
    expect(await ponix('init')).toEqual({
      code: 0,
      stdout: 'wrote commonplace.json with an example; replace its command, then run "ponix-orchestrator"\n',
      stderr:
        'note: package.json has no process to take over\nnote: script "start": starts other scripts, which are processes of their own\nnote: script "test": left out, because such scripts end by themselves\n',
    })
    expect(read()).toContain('      // "env": { "PORT": "3000" },\n')
    expect(await ponix('validate')).toMatchObject({ code: 0 })
  })

  it('shows in comments what can be added to the scripts of package.json', async () => {
    const { ponix, read } = project({ 'package.json': { scripts: { dev: 'node x' } } })
    await ponix('init')
    expect(read()).toContain('    // "depends_on": ["db"],  // starts when db is ready\n')
    expect(await ponix('validate')).toMatchObject({ code: 0, stderr: '' })
  })

  it('adapts the watched files to the folder of another source', async () => {
    const watch = '{ watch: [{ action: restart, path: ./src, ignore: [gen/x] }] }'
    const { ponix, processes } = project({ 'app/compose.yaml': `services: { a: { command: x, develop: ${watch} } }` })
    await ponix('init', '--from', 'app/compose.yaml')
    expect(processes()).toMatchObject({ a: { watch: { paths: ['app/src'], ignore: ['/app/src/gen/x'] } } })
  })

  it.each([
    [
      'shop',
      ['web', 'api', 'migrate', 'worker', 'db', 'cache'],
      {
        web: { command: 'npm', args: ['run', 'dev'], cwd: './web', env: { API_URL: 'http://127.0.0.1:8080' } },
        migrate: {
          env: { DATABASE_URL: 'postgres://shop:${DB_PASSWORD}@127.0.0.1:5432/${DB_NAME:-shop}' },
          depends_on: { db: { condition: 'ready' } },
          restart: { policy: 'on_failure', max_attempts: 3 },
        },
        db: {
          command: 'docker',
          env: { POSTGRES_USER: 'shop', POSTGRES_PASSWORD: '${DB_PASSWORD}', POSTGRES_DB: '${DB_NAME:-shop}' },
        },
      },
    ],
    [
      'pipeline',
      ['django', 'celery', 'beat', 'postgres', 'rabbit'],
      {
        django: { env: { CELERY_BROKER_URL: 'amqp://guest:guest@127.0.0.1//' } },
        celery: { command: 'celery', replicas: 3, shutdown: { signal: 'SIGINT' } },
        beat: { cwd: 'beat', env_file: 'common/base.env' },
      },
    ],
    [
      'dashboard',
      ['collector', 'store', 'dashboard', 'cache', 'mysql'],
      {
        collector: {
          command: 'go',
          args: ['run', './collector', '--listen', ':9100'],
          env: {
            TARGETS: '127.0.0.1:9091,127.0.0.1:11211',
            BACKEND: '${STORE:-http://127.0.0.1:9091}/write',
            DSN: 'writer:${DSN_PASSWORD:-writer}@tcp(127.0.0.1:3306)/metrics',
          },
        },
      },
    ],
  ])('writes a valid file from the Compose file of the project %s', async (name, names, expected) => {
    const { folder, ponix, read, processes } = project({})
    cpSync(join(fixtures, name), folder, { recursive: true })
    const { code, stdout } = await ponix('init')
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`: ${names.join(', ')}\n$`))])
    expect(processes()).toMatchObject(expected)
    expect(read()).not.toMatch(/open-sesame|not so secret/)
    const { code: validity, stdout: order } = await ponix('validate')
    expect([validity, order]).toEqual([0, expect.stringContaining('commonplace.json is valid')])
  })

  it('writes a file from a Compose file that runs, with .env and the host names of services', async () => {
    const { folder, ponix, start } = project({
      'compose.yaml': `
name: shop
services:
  api:
    build: .
    command: sh -c 'echo "url $$URL" && exec sleep 600'
    environment: { URL: "postgres://app:\${DB_PASSWORD}@db/app" }
    depends_on: { db: { condition: service_healthy } }
  db:
    image: postgres
    environment: { POSTGRES_PASSWORD: "\${DB_PASSWORD}" }
    healthcheck: { test: ["CMD", "pg_isready"] }
`,
      '.env': 'DB_PASSWORD=sesame\n',
      // Stands in for the program docker, which needs a daemon.
      'node_modules/.bin/docker':
        '#!/bin/sh\necho "docker $*, password $POSTGRES_PASSWORD"\n[ "$1" = exec ] || exec sleep 600\n',
    })
    chmodSync(join(folder, 'node_modules/.bin/docker'), 0o755)
    expect((await ponix('init')).code).toBe(0)
    await using running = start()
    const run = 'run --rm --name shop-db -p 127.0.0.1:5432:5432 -e POSTGRES_PASSWORD postgres'
    await running.seen(new RegExp(`\\[db\\] +docker ${run}, password sesame`))
    await running.seen(/\[api\] +url postgres:\/\/app:sesame@127\.0\.0\.1\/app/)
    expect(await running.stop()).toBe(0)
  })

  it('prints for the Compose file of the documentation what the documentation says', async () => {
    const page = readFileSync(new URL('../../../../docs/files.md', import.meta.url), 'utf8')
    const [, compose = '', output] = /```yaml\n([^`]*)```\s*```text\n([^`]*)```/.exec(page) ?? []
    const { ponix, processes } = project({ 'compose.yaml': compose, '.env': 'DB_PASSWORD=x\n' })
    const { stdout, stderr } = await ponix('init')
    expect(stdout + stderr).toBe(output)
    expect(processes()).toMatchObject({
      api: { env: { DATABASE_URL: expect.stringContaining('@127.0.0.1:5432/app') } },
    })
  })

  it('names a variable without a value, in the notes and when the file is used', async () => {
    const { ponix } = project({
      'compose.yaml': 'services: { a: { build: ., command: x, environment: ["A=${NOT_SET_ANYWHERE}"] } }',
    })
    expect((await ponix('init')).stderr).toContain(
      'note: NOT_SET_ANYWHERE: not set in .env or the shell, and without a default; set it in .env',
    )
    const { code, stderr } = await ponix('validate')
    expect([code, stderr]).toEqual([2, expect.stringContaining('${NOT_SET_ANYWHERE} is not set and has no default')])
  })

  it('reports an invalid .env of a Compose file', async () => {
    const { ponix } = project({ 'compose.yaml': 'services: { a: { build: ., command: x } }', '.env': 'no\n' })
    expect(await ponix('init')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('line 1: expected NAME=value'),
    })
  })

  it('names the JSON Schema of an installed package', async () => {
    const { ponix, read } = project({ 'node_modules/ponix-orchestrator/docs/commonplace.schema.json': {} })
    await ponix('init')
    expect(read()).toContain('"$schema": "./node_modules/ponix-orchestrator/docs/commonplace.schema.json",\n')
  })

  it('does not change an existing file', async () => {
    const { ponix, read } = project({ 'commonplace.json': 'mine', Procfile: 'web: a\n' })
    expect(await ponix('init')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: commonplace.json already exists; nothing was written\n',
    })
    expect(read()).toBe('mine')
    expect(await ponix('init', '--config', 'dev.json')).toMatchObject({ code: 0 })
    expect(read('dev.json')).toContain('"web"')
  })

  it('runs nothing', async () => {
    const touch = 'touch was-started'
    const { ponix, folder } = project({ 'package.json': { scripts: { preinstall: touch, dev: touch } } })
    await ponix('init')
    expect(() => readFileSync(join(folder, 'was-started'))).toThrow('ENOENT')
  })

  it('sets the working directory to the folder of another source', async () => {
    const { ponix, processes } = project({ 'app/Procfile': 'web: node web.js\n', 'app/.env': '' })
    await ponix('init', '--from', 'app/Procfile')
    expect(processes()).toEqual({
      web: {
        command: 'node',
        args: ['web.js'],
        env_file: ['app/.env'],
        env: { PORT: '${PORT:-5000}' },
        cwd: 'app',
      },
    })
    expect(await ponix('validate')).toMatchObject({ code: 0 })
  })

  it.each([
    [
      ['--from', 'none.yaml'],
      'none.yaml does not exist; expected a package.json, a Procfile or a Compose file (.yaml, .yml)',
    ],
    [['--from', 'x.toml'], '--from "x.toml": expected a package.json, a Procfile or a Compose file (.yaml, .yml)'],
    [['--from', 'broken/package.json'], 'broken/package.json cannot be read: '],
    [['--from', 'x.yaml'], 'x.yaml is not a Compose file: it has no "services"'],
    [['--from', 'y.yaml'], 'y.yaml is not a Compose file: Flow sequence in block collection '],
  ])('reports %j', async (args, message) => {
    const { ponix } = project({ 'x.toml': '', 'broken/package.json': '{', 'x.yaml': 'a: 1', 'y.yaml': 'a: [' })
    const { code, stderr } = await ponix('init', ...args)
    expect([code, stderr]).toEqual([2, expect.stringContaining(`ponix-orchestrator: ${message}`)])
  })

  it('says why a source has nothing to take over', async () => {
    const { ponix, folder } = project({ 'compose.yaml': 'services: {db: {image: postgres, gpus: all}}' })
    const { code, stderr } = await ponix('init', '--from', 'compose.yaml')
    expect([code, stderr]).toEqual([
      1,
      'ponix-orchestrator: compose.yaml has no process to take over\n  db: left out, because docker run has no counterpart of gpus; keep it in Compose: docker compose up -d db\n',
    ])
    rmSync(folder, { recursive: true })
  })
})
