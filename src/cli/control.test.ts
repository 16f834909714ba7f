import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { request } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ProgramUnderTest, type RunningProgram } from './program-under-test.ts'
import { statusAnswer, type ProcessStatus } from '../supervisor/control/status.ts'
import { runFolder } from '../supervisor/guard/run-folder.ts'
import { ChildRig } from '../../test/rig/steerable-child.ts'

let program: ProgramUnderTest
let running: RunningProgram | null = null
beforeAll(async () => {
  program = await ProgramUnderTest.build()
})
afterEach(async () => {
  running?.signal('SIGTERM')
  await running?.outcome
  running = null
})
afterAll(() => program.dispose())

async function openRig(): Promise<ChildRig> {
  const rig = await ChildRig.open()
  onTestFinished(() => rig[Symbol.asyncDispose]())
  return rig
}

function begin(processes: object): RunningProgram {
  program.writeConfig({ processes })
  running = program.start()
  return running
}

/** Resolves when all of them are ready. */
async function start(processes: object): Promise<RunningProgram> {
  const started = begin(processes)
  await started.seen(/ready after/)
  return started
}

async function status(): Promise<Readonly<Record<string, ProcessStatus>>> {
  const { code, stdout } = await program.run('status', '--json')
  expect(code).toBe(0)
  const { processes } = statusAnswer.parse(JSON.parse(stdout))
  return Object.fromEntries(processes.map((process) => [process.name, process]))
}

const echo = (text: string) => ({ command: `echo ${text}; exec sleep 600`, shell: true })
const sleeper = { command: 'sleep', args: ['600'] }

describe('status (O-9, O-41)', () => {
  test('--json has every process with its state and figures', async () => {
    await start({ web: { ...sleeper, depends_on: ['job'] }, job: { kind: 'task', command: 'true' } })
    const { web, job } = await status()
    expect(web).toEqual({
      name: 'web',
      state: 'running',
      reason: null,
      pid: expect.any(Number),
      ready: true,
      restarts: 0,
      exit_code: null,
      signal: null,
      uptime_ms: expect.any(Number),
      cpu_percent: expect.toSatisfy((percent: unknown) => percent === null || Number(percent) < 50),
      memory_bytes: expect.toSatisfy((bytes: number) => bytes > 100_000 && bytes < 100_000_000),
      depends_on: ['job'],
    })
    expect(job).toMatchObject({ state: 'completed', ready: true, pid: null, exit_code: 0, memory_bytes: null })
  })

  test('counts the processor time and memory of the whole group', async () => {
    await start({ busy: { command: 'while :; do :; done & exec sleep 600', shell: true } })
    await expect.poll(async () => (await status())['busy']?.cpu_percent, { timeout: 15_000 }).toBeGreaterThan(5)
  })

  test('is a table for people', async () => {
    await start({ store: sleeper, failing: { command: 'exit 3', shell: true, restart: { backoff_ms: 60_000 } } })
    const { stdout } = await program.run('status')
    expect(stdout).toMatch(/^NAME {5,}STATE +PID +UP +RESTARTS +CPU +MEMORY\n/)
    expect(stdout).toMatch(/^store +running +\d+ +\S+ (ms|s) +0 +\S+.* MB$/m)
    expect(stdout).toMatch(/^failing +backoff .*last exit code 3$/m)
  })

  test('without a running orchestrator every command says so in one line, with exit code 3', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    for (const args of [['status'], ['logs'], ['stop', 'a'], ['reload'], ['down']]) {
      expect(await program.run(...args)).toEqual({
        code: 3,
        stdout: '',
        stderr:
          'ponix-orchestrator: no orchestrator runs commonplace.json; start one with: ponix-orchestrator --config commonplace.json\n',
      })
    }
  })

  test('of a file that is not there says that', async () => {
    const { code, stderr } = await program.run('status', '--config', 'nowhere.json')
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'ponix-orchestrator: nowhere.json cannot be read: ENOENT; name another file with --config\n',
    })
  })
})

describe('stop, start and restart (O-9)', () => {
  test('what was stopped by hand stays down until it is started, whatever its policy', async () => {
    const rig = await openRig()
    await start({ a: rig.program('a'), b: sleeper })
    const first = await rig.nextStart('a')
    expect((await program.run('stop', 'a')).code).toBe(0)
    expect(first.isGone).toBe(true)
    expect((await status())['a']).toMatchObject({ state: 'stopped', pid: null, ready: false })
    expect((await program.run('start', 'a')).code).toBe(0)
    await rig.nextStart('a')
    expect((await status())['a']).toMatchObject({ state: 'running', restarts: 1 })
  })

  test('the orchestrator goes on although all are stopped by hand', async () => {
    await start({ a: sleeper })
    await program.run('stop', 'a')
    expect((await status())['a']).toMatchObject({ state: 'stopped' })
    expect(await program.run('start', 'a')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^a +running/m) })
  })

  //  web ── db
  test('of several, dependents go down first, and come up last', async () => {
    const rig = await openRig()
    await start({ db: rig.program('db'), web: { ...rig.program('web'), depends_on: ['db'] } })
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await Promise.all([db.keep('SIGTERM'), web.keep('SIGTERM')])
    const restarted = program.run('restart', 'db', 'web')
    expect(await web.nextSignal()).toBe('SIGTERM')
    expect(db.isGone).toBe(false)
    await web.exit(0)
    expect(await db.nextSignal()).toBe('SIGTERM')
    await db.exit(0)
    await rig.nextStart('db')
    await rig.nextStart('web')
    expect((await restarted).code).toBe(0)
  })

  //  web ── db
  test('only what is named is stopped, and a start waits for nothing that somebody holds down', async () => {
    await start({ db: sleeper, web: { ...sleeper, depends_on: ['db'] } })
    await program.run('stop', 'db')
    expect(await status()).toMatchObject({ db: { state: 'stopped' }, web: { state: 'running' } })
    await program.run('stop', 'web')
    expect((await program.run('start', 'web')).stdout).toMatch(/^web +waiting/m)
    expect((await program.run('restart', 'web')).stdout).toMatch(/^web +waiting/m)
    await program.run('start', 'db')
    await expect.poll(async () => (await status())['web']?.state, { timeout: 15_000 }).toBe('running')
  })

  test('start runs again what has ended, and does not wait out a backoff', async () => {
    const rig = await openRig()
    const restart = { policy: 'on_failure', backoff_ms: 60_000, max_backoff_ms: 60_000 }
    const started = begin({ job: { ...rig.program('job'), kind: 'task', restart }, b: sleeper })
    const job = await rig.nextStart('job')
    await job.exit(1)
    await started.seen(/job: restarts in 1 min/)
    const restarted = program.run('start', 'job')
    const second = await rig.nextStart('job')
    await second.exit(0)
    expect((await restarted).stdout).toMatch(/^job +completed/m)
    const again = program.run('start', 'job')
    await (await rig.nextStart('job')).exit(0)
    expect((await again).code).toBe(0)
  })

  test('an unknown name is one line with the nearest one, and nothing is done', async () => {
    await start({ store: sleeper, web: sleeper })
    const { code, stderr } = await program.run('stop', 'web', 'stoer')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'ponix-orchestrator: there is no process "stoer"; did you mean "store"?\n',
    })
    expect((await status())['web']).toMatchObject({ state: 'running' })
  })

  test('start of one that fails ends with exit code 1', async () => {
    const bad = {
      command: 'exit 9',
      shell: true,
      restart: { policy: 'never' },
      readiness_probe: { log_line: 'never' },
    }
    await begin({ bad, b: sleeper }).seen(/bad: failed for good/)
    const { code, stdout } = await program.run('start', 'bad')
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/^bad +failed .*exited with code 9$/m) })
  })
})

describe('logs (O-9)', () => {
  test('shows the last lines of each, or of those named, under their prefixes', async () => {
    await start({
      web: { command: 'for i in 1 2 3; do echo line $i; done; exec sleep 600', shell: true },
      b: echo('hello'),
    })
    await running?.seen(/line 3/)
    await running?.seen(/hello/)
    const all = await program.run('logs', '--tail', '2')
    expect(all.stdout.split('\n').sort()).toEqual([
      '',
      '[b]            hello',
      '[web]          line 2',
      '[web]          line 3',
    ])
    expect((await program.run('logs', '--tail', '1', 'web')).stdout).toBe('[web]          line 3\n')
    const [line] = (await program.run('logs', '--json', 'b')).stdout.split('\n')
    expect(JSON.parse(line ?? '')).toEqual({ time: expect.any(Number), process: 'b', stream: 'stdout', line: 'hello' })
  })

  test('-f goes on until the orchestrator ends', async () => {
    const rig = await openRig()
    await start({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await a.print('before\n')
    const following = program.start('logs', '-f', 'a')
    await following.seen(/before/)
    await a.printError('after\n')
    await following.seen(/\[a\] +after/)
    running?.signal('SIGTERM')
    expect((await following.outcome).code).toBe(0)
  })

  test('a follower that does not read slows nobody, and is told what it missed', async () => {
    const rig = await openRig()
    const { child } = await start({ a: rig.program('a') })
    child.stdout?.resume()
    await status()
    const a = await rig.nextStart('a')
    const { socketPath } = runFolder(`${program.folder}/commonplace.json`, { XDG_RUNTIME_DIR: program.folder })
    const response = await new Promise<NodeJS.ReadableStream>((resolve) => {
      request({ socketPath, path: '/logs?tail=0&follow=1' }, resolve).end()
    })
    await a.print(`${'x'.repeat(1023)}\n`, 64 * 1024)
    let text = ''
    let isTold = false
    for await (const chunk of response) {
      text += String(chunk)
      if (!isTold && /\{"dropped":\d+\}\n/.test(text)) {
        isTold = true
        await a.print('the last one\n')
      }
      if (text.includes('the last one')) break
    }
    expect(text).toMatch(/\{"dropped":\d+\}\n[^]*the last one/)
    expect(text.length).toBeLessThan(32 * 1024 * 1024)
  })

  test('at a terminal records of pino are readable, and elsewhere as they are', async () => {
    const record = '{"level":30,"time":1,"pid":2,"hostname":"h","name":"web","msg":"listening","port":80}'
    await start({ web: { command: `echo '${record}'; exec sleep 600`, shell: true } })
    await running?.seen(/listening/)
    expect((await program.run('logs')).stdout).toBe(`[web]          ${record}\n`)
    const shown = execFileSync('script', ['-qec', `${process.execPath} ${program.path} logs`, '/dev/null'], {
      cwd: program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder, NO_COLOR: '1' },
      encoding: 'utf8',
    })
    expect(shown).toMatch(/^\[web\] {10}\[[\d:.]+\] INFO: listening \{"port":80\}\r\n$/)
  })

  test('a wrong --tail is one line', async () => {
    expect(await program.run('logs', '--tail', 'many')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'ponix-orchestrator: --tail "many": expected a whole number from 0\n',
    })
  })
})

describe('reload (O-39)', () => {
  test('what is new starts, what is gone stops, what is different restarts, the rest is not touched', async () => {
    const rig = await openRig()
    await start({ same: rig.program('same'), gone: rig.program('gone'), other: rig.program('other') })
    const [same, gone, other] = [await rig.nextStart('same'), await rig.nextStart('gone'), await rig.nextStart('other')]
    const changed = rig.program('other')
    program.writeConfig({
      processes: {
        same: rig.program('same'),
        other: { ...changed, env: { ...changed.env, NEW: 'yes' } },
        added: rig.program('added'),
      },
    })
    expect(await program.run('reload')).toEqual({
      code: 0,
      stdout: 'added: added; removed: gone; changed: other\n',
      stderr: '',
    })
    await Promise.all([gone.gone, other.gone])
    await rig.nextStart('added')
    expect((await (await rig.nextStart('other')).environment())['NEW']).toBe('yes')
    expect(same.isGone).toBe(false)
    expect(Object.keys(await status())).toEqual(['same', 'other', 'added'])
    expect(rig.starts('same')).toBe(1)
  })

  test('a bad file is told, and changes nothing', async () => {
    await start({ a: sleeper })
    const before = (await status())['a']
    program.writeConfig('{"processes": {"a": {"comand": "x"}}}')
    const { code, stderr } = await program.run('reload')
    expect(code).toBe(1)
    expect(stderr).toContain('unknown key; did you mean "command"?')
    expect((await status())['a']?.pid).toBe(before?.pid)
  })

  test('SIGHUP does the same', async () => {
    const { signal, seen } = bind(await start({ a: sleeper }))
    program.writeConfig({ processes: { a: sleeper, b: echo('I am new') } })
    signal('SIGHUP')
    await seen(/read the configuration again: added b/)
    await seen(/I am new/)
    program.writeConfig('{')
    signal('SIGHUP')
    await seen(/the configuration stays as it was: /)
    expect(await status()).toMatchObject({ a: { state: 'running' }, b: { state: 'running' } })
  })

  test('what was stopped by hand stays down', async () => {
    await start({ a: sleeper, b: sleeper })
    await program.run('stop', 'a', 'b')
    program.writeConfig({ processes: { a: sleeper, b: { ...sleeper, env: { NEW: 'yes' } } } })
    expect((await program.run('reload')).stdout).toBe('changed: b\n')
    expect(await status()).toMatchObject({ a: { state: 'stopped' }, b: { state: 'stopped' } })
  })
})

describe('down (O-9)', () => {
  test('stops everything in order, and the orchestrator; its exit code is 0', async () => {
    const started = await start({ db: sleeper, web: { ...sleeper, depends_on: ['db'] } })
    expect(await program.run('down')).toEqual({ code: 0, stdout: 'everything is stopped\n', stderr: '' })
    const { code, stderr } = await started.outcome
    expect(code).toBe(0)
    expect(stderr.indexOf('web: stopped')).toBeLessThan(stderr.indexOf('db: stopping'))
    expect((await program.run('status')).code).toBe(3)
  })
})

describe('the socket', () => {
  const socketPath = () =>
    runFolder(`${program.folder}/commonplace.json`, { XDG_RUNTIME_DIR: program.folder }).socketPath

  async function ask(method: string, path: string, body = ''): Promise<{ status: number | undefined; body: string }> {
    return new Promise((resolve) => {
      const headers = { 'content-length': Buffer.byteLength(body) }
      request({ socketPath: socketPath(), method, path, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.once('end', () => resolve({ status: response.statusCode, body: text }))
      }).end(body)
    })
  }

  test('is open to this user only', async () => {
    await start({ a: sleeper })
    await status()
    expect(statSync(socketPath()).mode & 0o777).toBe(0o600)
  })

  test('gives Prometheus what status has (O-41)', async () => {
    await start({ a: sleeper })
    await status()
    const { body } = await ask('GET', '/metrics')
    expect(body).toContain('# TYPE ponix_process_restarts_total counter\nponix_process_restarts_total{process="a"} 0\n')
    expect(body).toContain('ponix_process_ready{process="a"} 1\n')
    expect(body).toContain('ponix_process_state{process="a",state="running"} 1\n')
    expect(body).toMatch(/ponix_process_memory_bytes\{process="a"\} \d+\n/)
  })

  test('a bad request is one line that says what was expected', async () => {
    await start({ a: sleeper })
    await status()
    const form = 'expected a body like {\\"processes\\": [\\"name\\"]}'
    expect(await ask('POST', '/stop', 'nonsense')).toEqual({ status: 400, body: `{"error":"${form}"}\n` })
    expect(await ask('POST', '/stop', '{"processes": []}')).toMatchObject({ status: 400 })
    expect(await ask('POST', '/stop', `{"processes": ["${'a'.repeat(70_000)}"]}`)).toMatchObject({ status: 413 })
    expect(await ask('POST', '/status')).toEqual({ status: 405, body: '{"error":"/status takes GET /status"}\n' })
    expect(await ask('GET', '/nothing')).toMatchObject({ status: 404 })
    expect(await ask('GET', '/logs?tail=-1')).toMatchObject({ status: 400 })
    expect((await status())['a']).toMatchObject({ state: 'running' })
  })
})

function bind(program: RunningProgram) {
  return {
    signal: (signal: NodeJS.Signals) => program.signal(signal),
    seen: (pattern: RegExp) => program.seen(pattern),
  }
}
