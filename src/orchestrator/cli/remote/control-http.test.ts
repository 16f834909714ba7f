import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import type { Program } from '../../../../test/rig/program.ts'
import { freePort } from '../../../../test/rig/servers.ts'
import { listen } from '../../../../test/rig/tcp-proxy.ts'

let program: CommandLine
let running: Program | null = null
let port = 0
beforeAll(() => {
  program = new CommandLine()
})
afterEach(async () => {
  running?.signal('SIGTERM')
  await running?.outcome
  running = null
  program.environment = {}
})
afterAll(() => program.dispose())

/** Resolves when all processes are ready; the control API listens at `port`. */
async function start(control: object = {}, processes: object = { a: sleeper }): Promise<Program> {
  port = await freePort()
  program.writeConfig({ control: { http: port, ...control }, processes })
  running = program.start()
  await running.seen(/ready after/)
  return running
}

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: string
}

function ask(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { 'content-length': String(Buffer.byteLength(body)), ...headers }
    request({ host: '127.0.0.1', port, method, path, headers: all }, (response) => {
      const { statusCode: status, headers: got } = response
      text(response).then((body) => resolve({ status, type: got['content-type'], body }), reject)
    })
      .once('error', reject)
      .end(body)
  })
}

const refused = (status: number, error: string) => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify({ error })}\n`,
})

describe('control.http', () => {
  test('serves the control API and the metrics over TCP, and logs the address (O-9, O-41)', async () => {
    const { stderr } = await start()
    expect(stderr).toContain(`control API at http://127.0.0.1:${port}/\n`)
    const { body } = await ask('GET', '/status')
    expect(JSON.parse(body)).toMatchObject({ processes: [{ name: 'a', state: 'running' }] })
    expect((await ask('GET', '/metrics')).body).toContain('ponix_process_state{process="a",state="running"} 1\n')
    const stopped = await ask('POST', '/stop', {}, '{"processes": ["a"]}')
    expect(JSON.parse(stopped.body)).toMatchObject({ processes: [{ name: 'a', state: 'stopped' }] })
    expect((await program.run('status')).stdout).toMatch(/^a +stopped/m)
  })

  test('answers GET /readyz with 200 when all processes are ready or completed, else with 503 and the reasons', async () => {
    const rig = await openRig()
    port = await freePort()
    const api = { ...rig.program('api'), readiness_probe: { notify: true } }
    const job = { command: 'true', kind: 'task' }
    const processes = { api, job, spare: { ...sleeper, disabled: true } }
    program.writeConfig({ control: { http: port }, processes })
    running = program.start()
    const first = await rig.nextStart('api')
    await running.seen(/job: completed/)
    const readiness = async () => {
      const { status, body } = await ask('GET', '/readyz')
      return { status, ...JSON.parse(body) }
    }
    const unready = (state: string, detail: unknown) => ({
      status: 503,
      ready: false,
      stopping: false,
      not_ready: [{ name: 'api', state, detail }],
    })
    expect(await readiness()).toEqual(unready('running', expect.stringContaining('NOTIFY_FD')))
    await first.notify()
    await running.seen(/ready after/)
    expect(await readiness()).toEqual({ status: 200, ready: true, stopping: false, not_ready: [] })
    expect((await program.run('stop', 'api')).code).toBe(0)
    expect(await readiness()).toEqual(unready('stopped', null))
    expect(await ask('GET', '/healthz')).toMatchObject({ status: 200, body: '{"status":"alive"}\n' })
    expect(await ask('HEAD', '/healthz')).toMatchObject({ status: 200, body: '' })
    expect(await ask('HEAD', '/readyz')).toMatchObject({ status: 503, body: '' })
  })

  test('answers GET /readyz with 503 while everything stops', async () => {
    const rig = await openRig()
    await start({}, { api: rig.program('api') })
    const api = await rig.nextStart('api')
    await api.keep('SIGTERM')
    running?.signal('SIGTERM')
    await api.nextSignal()
    const { status, body } = await ask('GET', '/readyz')
    expect([status, JSON.parse(body)]).toMatchObject([503, { ready: false, stopping: true }])
    await api.exit(0)
  })

  test('lists every request at GET /', async () => {
    await start()
    const { status, type, body } = await ask('GET', '/')
    expect([status, type]).toEqual([200, 'text/plain; charset=utf-8'])
    const listed = [...body.matchAll(/^(GET|POST) +(\/\w*)/gm)].map(([, method, path]) => `${method} ${path}`)
    const { error } = JSON.parse((await ask('GET', '/nothing')).body)
    expect(`unknown path /nothing; expected ${listed.join(', ')}`).toBe(error)
  })

  test('rejects pages of other servers and rebound host names without an effect', async () => {
    await start()
    const foreign = refused(403, 'Origin: requests from pages of other servers are rejected')
    const rebound = refused(403, 'Host: expected localhost or a loopback address')
    for (const origin of ['http://evil.example', `http://localhost:${port + 1}`, 'null']) {
      expect(await ask('POST', '/down', { origin })).toEqual(foreign)
      expect(await ask('GET', '/status', { origin })).toEqual(foreign)
    }
    expect(await ask('POST', '/down', { host: `evil.example:${port}` })).toEqual(rebound)
    expect(await ask('GET', '/logs', { host: `evil.example:${port}` })).toEqual(rebound)
    const own = { host: `localhost:${port}`, origin: `http://localhost:${port}` }
    expect(JSON.parse((await ask('GET', '/status', own)).body)).toMatchObject({ stopping: false })
  })

  test('requires POST for requests that change something', async () => {
    await start()
    for (const path of ['/start', '/stop', '/restart', '/reload', '/down']) {
      expect(await ask('GET', path)).toEqual(refused(405, `wrong method for ${path}; expected POST ${path}`))
    }
    expect(JSON.parse((await ask('GET', '/status')).body)).toMatchObject({ processes: [{ state: 'running' }] })
  })

  test('continues after an invalid HTTP request', async () => {
    await start()
    const socket = connect(port, '127.0.0.1')
    socket.write('GET // HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text(socket)).toContain('HTTP/1.1 400 Bad Request')
    const nonsense = connect(port, '127.0.0.1')
    nonsense.end('\u0000\u0001\r\n\r\n')
    expect(await text(nonsense)).toContain('HTTP/1.1 400 Bad Request')
    expect((await ask('GET', '/status')).status).toBe(200)
  })

  test('prints one line, exits with 1 and starts nothing if its port is in use', async () => {
    port = await listen(createServer())
    program.writeConfig({ control: { http: port }, processes: { a: { command: 'echo I was started', shell: true } } })
    expect(await program.run()).toEqual({
      code: 1,
      stdout: '',
      stderr: `ponix-orchestrator: control.http: cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or choose another port; nothing was started\n`,
    })
    expect(program.guards()).toEqual([])
    expect((await program.run('status')).code).toBe(3)
  })

  test('prints one line and exits with 1 if this machine does not have its address', async () => {
    program.writeConfig({ control: { http: '192.0.2.1:7', token: 'hunter22' }, processes: { a: sleeper } })
    expect(await program.run()).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'ponix-orchestrator: control.http: cannot listen on 192.0.2.1:7: this machine has no such address; nothing was started\n',
    })
  })

  test('is rejected by validate and run if other machines can reach its address without a token (O-20)', async () => {
    program.writeConfig('{"control": {"http": "0.0.0.0:7"}, "processes": {"a": {"command": "x"}}}')
    const line =
      'commonplace.json:1:22: control.http: other machines can reach 0.0.0.0:7, so it needs a "token", such as "${PONIX_CONTROL_TOKEN}"; or use 127.0.0.1\n'
    for (const args of [['validate'], []]) {
      expect(await program.run(...args)).toEqual({ code: 2, stdout: '', stderr: line })
    }
  })
})

describe('control.token (O-42)', () => {
  const wanted = refused(401, 'expected the token of the configuration: Authorization: Bearer TOKEN')

  test('is required by every request over TCP, and not by the commands of this user', async () => {
    program.environment = { MY_TOKEN: 'hunter22' }
    const { stderr } = await start({ token: '${MY_TOKEN}' })
    expect(stderr).toContain(`control API at http://127.0.0.1:${port}/ (token required)\n`)
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/metrics'],
      ['GET', '/nothing'],
      ['POST', '/down'],
    ] as const) {
      expect(await ask(method, path)).toEqual(wanted)
      expect(await ask(method, path, { authorization: 'Bearer hunter23' })).toEqual(wanted)
    }
    const { status, body } = await ask('GET', '/status', { authorization: 'Bearer hunter22' })
    expect([status, JSON.parse(body)]).toEqual([200, expect.objectContaining({ stopping: false })])
    const { headers } = await fetch(`http://127.0.0.1:${port}/`)
    expect(headers.get('www-authenticate')).toBe('Bearer')
    program.environment = {}
    expect((await program.run('status')).stdout).toMatch(/^a +running/m)
  })

  test('is required at an address that other machines can reach, with any host name', async () => {
    port = await freePort()
    program.writeConfig({ control: { http: `0.0.0.0:${port}`, token: 'hunter22' }, processes: { a: sleeper } })
    running = program.start()
    await running.seen(/ready after/)
    const host = `machine.example:${port}`
    expect(await ask('GET', '/status', { host })).toEqual(wanted)
    expect(await ask('GET', '/status', { host, authorization: 'Bearer hunter22' })).toMatchObject({ status: 200 })
  })

  test('comes from an env_file, which gives it to no process', async () => {
    port = await freePort()
    writeFileSync(join(program.folder, 'token.env'), 'MY_TOKEN=hunter22\nOTHER=passed on\n')
    const a = { command: 'env; exec sleep 600', shell: true }
    const control = { http: port, token: '${MY_TOKEN}' }
    program.writeConfig({ env_file: 'token.env', control, processes: { a } })
    running = program.start()
    await running.seen(/OTHER=passed on/)
    await running.seen(/ready after/)
    expect(await ask('GET', '/status')).toEqual(wanted)
    expect(await ask('GET', '/status', { authorization: 'Bearer hunter22' })).toMatchObject({ status: 200 })
    expect(running.stdout + running.stderr).not.toMatch(/hunter22|MY_TOKEN/)
  })

  test.each(['${MY_TOKEN:-}', 'prefix-${MY_TOKEN:-}'])(
    'of %j without the variable is an error of validate and run that names it',
    async (token) => {
      program.environment = {}
      program.writeConfig({ control: { http: 19_100, token }, processes: { a: sleeper } })
      for (const command of ['validate', 'run']) {
        const { code, stderr } = await program.run(command)
        expect([code, stderr]).toEqual([
          2,
          expect.stringContaining('control.token: ${MY_TOKEN} is unset or empty; set it to a secret text\n'),
        ])
      }
    },
  )

  test('appears in no process, no output and no export', async () => {
    program.environment = { MY_TOKEN: 'hunter22', OTHER: 'passed on' }
    const { stdout } = await start({ token: '${MY_TOKEN}' }, { a: { command: 'env; exec sleep 600', shell: true } })
    await running?.seen(/OTHER=passed on/)
    expect(stdout + running?.stdout).not.toMatch(/hunter22|MY_TOKEN/)
    for (const args of [
      ['validate'],
      ['graph', '--format', 'json'],
      ['status', '--json'],
      ['logs'],
      ['export', 'systemd'],
      ['export', 'compose'],
      ['export', 'kubernetes'],
      ['reload'],
    ]) {
      const result = await program.run(...args)
      expect([args, result.code, result.stdout + result.stderr]).toEqual([
        args,
        0,
        expect.not.stringContaining('hunter22'),
      ])
    }
    const metrics = await ask('GET', '/metrics', { authorization: 'Bearer hunter22' })
    expect(metrics.body).toContain('ponix_process_ready')
    expect(metrics.body + running?.stderr).not.toContain('hunter22')
  })
})

describe('a reload with a changed control (O-39)', () => {
  test('warns that it needs a restart, and applies the rest', async () => {
    await start()
    const other = await freePort()
    program.writeConfig({ control: { http: other }, processes: { a: sleeper, b: sleeper } })
    const warning = '"control" has changed; restart the orchestrator to apply it'
    expect(await program.run('reload')).toEqual({ code: 0, stdout: `added: b; ${warning}\n`, stderr: '' })
    await running?.seen(new RegExp(`^\\[orchestrator\\] ${warning}$`, 'm'))
    expect(JSON.parse((await ask('GET', '/status')).body)).toMatchObject({ processes: [{ name: 'a' }, { name: 'b' }] })
    const connection = connect(other, '127.0.0.1')
    onTestFinished(() => void connection.destroy())
    expect(await once(connection, 'error')).toEqual([expect.objectContaining({ code: 'ECONNREFUSED' })])
    expect((await program.run('reload')).stdout).toBe(`${warning}\n`)
  })
})
