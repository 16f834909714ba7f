import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, get, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { ServiceScript } from '../../test/rig/adapters/runner-service.ts'
import { freePort } from '../../test/rig/servers.ts'
import { httpPortVariable } from './runner.ts'

const NOTIFY_FD = 3
let folder = ''
let program = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-runner-'))
  program = join(folder, 'service.mjs')
  await build({
    input: fileURLToPath(new URL('../../test/rig/adapters/runner-service.ts', import.meta.url)),
    platform: 'node',
    logLevel: 'silent',
    output: { file: program, format: 'esm' },
  })
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Starts the service as a real process. */
function start(script: ServiceScript, env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [program, JSON.stringify(script)], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line).msg)
    child.emit('said')
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')))
  const notifications: string[] = []
  child.stdio[NOTIFY_FD]?.on('data', (chunk: Buffer) => notifications.push(chunk.toString('utf8')))
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stderr }))
  const said = async (text: string): Promise<void> => {
    while (!lines.some((line) => line.startsWith(text))) await once(child, 'said')
  }
  const send = (command: string): void => void child.stdin.write(`${command}\n`)
  return { child, lines, notifications, ended, said, send, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

const WAITING: ServiceScript = { processes: { a: 'wait', b: 'wait' }, closers: { first: 'close', second: 'close' } }

describe('a service', () => {
  test('R-2 R-3 stops on SIGTERM and SIGINT: closers in reverse order, exit code 0', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const service = start(WAITING)
      await service.said('ready')
      service.kill(signal)
      expect(await service.ended).toEqual({ code: 0, signal: null, stderr: '' })
      expect(service.lines.filter((line) => line.startsWith('closed'))).toEqual(['closed second', 'closed first'])
    }
  })

  test.runIf(process.platform === 'linux')(
    'R-8 leaves standard output blocking, so a full pipe delays the log only until its reader continues',
    async () => {
      const service = start(WAITING)
      await service.said('ready')
      const flags = /^flags:\s+([0-7]+)$/m.exec(await readFile(`/proc/${service.child.pid}/fdinfo/1`, 'utf8'))?.[1]
      expect(Number.parseInt(flags ?? '', 8) & constants.O_NONBLOCK).toBe(0)
    },
  )

  test('R-2 exits with code 1 when a process fails, ends early, or throws an uncaught error', async () => {
    const cases = [
      ['obey', 'fail', 'odd failed: told to fail'],
      ['obey', 'end', 'odd ended: '],
      ['stray', 'fail', 'uncaught error: stray'],
    ] as const
    for (const [kind, command, line] of cases) {
      const service = start({ ...WAITING, processes: { good: 'wait', odd: kind } })
      await service.said('ready')
      service.send(command)
      expect(await service.ended).toEqual({ code: 1, signal: null, stderr: '' })
      await service.said(line)
      expect(service.lines).toContain('closed first')
    }
  })

  test('R-3 exits although a closer hangs and another one throws', async () => {
    const service = start({
      processes: { a: 'wait' },
      closers: { first: 'close', hanging: 'hang', throwing: 'throw', last: 'close' },
      closerTimeoutMs: 100,
    })
    await service.said('ready')
    service.kill('SIGTERM')
    expect(await service.ended).toMatchObject({ code: 0, signal: null })
    expect(service.lines.filter((line) => line.startsWith('clos'))).toEqual([
      'closed last',
      'closing throwing failed: cannot close throwing',
      'closing hanging took longer than 0.1 s; continuing without',
      'closed first',
    ])
  })

  test('R-3 exits after the timeout of a process that ignores the signal', async () => {
    const service = start({ processes: { deaf: 'hang' }, closers: { database: 'close' }, closerTimeoutMs: 100 })
    await service.said('ready')
    service.kill('SIGTERM')
    expect(await service.ended).toMatchObject({ code: 0, signal: null })
    expect(service.lines).toContain('deaf did not end within 0.1 s; continuing without')
    expect(service.lines).toContain('closed database')
  })

  test('R-4 ends immediately on a second signal', async () => {
    const service = start({ processes: { deaf: 'hang' }, closers: { database: 'close' }, closerTimeoutMs: 60_000 })
    await service.said('ready')
    service.kill('SIGTERM')
    await service.said('stopping on SIGTERM')
    service.kill('SIGINT')
    expect(await service.ended).toMatchObject({ code: null, signal: 'SIGINT' })
    expect(service.lines).not.toContain('closed database')
  })

  test('R-5 writes a newline to NOTIFY_FD when the readiness checks pass, and not before', async () => {
    const service = start({ ...WAITING, readiness: 'on command' }, { NOTIFY_FD: String(NOTIFY_FD) })
    await service.said('not ready yet')
    expect(service.notifications).toEqual([])
    service.send('ready')
    await service.said('ready')
    service.kill('SIGTERM')
    await service.ended
    expect(service.notifications).toEqual(['\n'])
  })

  test('R-5 logs that NOTIFY_FD is not an open descriptor, and keeps running', async () => {
    for (const NOTIFY_FD of ['77', 'stdout']) {
      const service = start(WAITING, { NOTIFY_FD })
      await service.said(`NOTIFY_FD=${NOTIFY_FD}: cannot report readiness`)
      service.kill('SIGTERM')
      expect(await service.ended).toMatchObject({ code: 0 })
    }
  })

  test('R-5 serves /healthz, /readyz, /metrics and its own routes', async () => {
    const port = await freePort()
    const service = start({ ...WAITING, readiness: 'on command' }, { PONIX_TEST_HTTP_PORT: String(port) })
    await service.said('not ready yet')
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
      return { status: response.status, body: await response.text() }
    }
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    expect(await get('/readyz')).toEqual({ status: 503, body: 'database: database is starting\n' })
    service.send('ready')
    await service.said('ready')
    expect(await get('/readyz?verbose')).toEqual({ status: 200, body: 'ready\n' })
    const metrics = await get('/metrics')
    expect(metrics.body).toContain('test_units_total 1')
    expect(metrics.body).toContain('process_cpu_seconds_total')
    expect(await get('/units')).toEqual({ status: 200, body: '{"units":"1","names":["a"]}\n' })
    expect(await get('/broken')).toEqual({ status: 500, body: '{"error":"broken"}\n' })
    expect(await get('/units', 'POST')).toMatchObject({ status: 405 })
    expect(await get('/constructor')).toMatchObject({ status: 404 })
    service.kill('SIGTERM')
    expect(await service.ended).toMatchObject({ code: 0 })
  })

  test('B-11 rejects a host name that is not of this machine, as after DNS rebinding, and pages of other servers', async () => {
    const port = await freePort()
    const variables = { PONIX_TEST_HTTP_PORT: String(port), PONIX_HTTP_ALLOWED_HOSTS: 'metrics.example' }
    const service = start(WAITING, variables)
    await service.said('ready')
    const answers = [
      [`localhost:${port}`, undefined, 200],
      [`[::1]:${port}`, `http://[::1]:${port}`, 200],
      ['metrics.example', 'https://metrics.example', 200],
      [`attacker.example:${port}`, undefined, 421],
      [`attacker.example:${port}`, `http://attacker.example:${port}`, 421],
      [`localhost:${port}`, 'https://attacker.example', 403],
      [`localhost:${port}`, 'null', 403],
    ] as const
    for (const [host, origin, status] of answers) {
      const headers = { host, ...(origin === undefined ? {} : { origin }) }
      for (const path of ['/metrics', '/units']) {
        expect(await statusOf(port, path, headers), `${host} ${origin} ${path}`).toBe(status)
      }
    }
    service.kill('SIGTERM')
    expect(await service.ended).toMatchObject({ code: 0 })
  })

  test('R-5 reports a port in use with one line and exit code 1', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : 0
    const service = start(WAITING, { PONIX_TEST_HTTP_PORT: String(port) })
    expect(await service.ended).toMatchObject({ code: 1, stderr: '' })
    expect(service.lines.filter((line) => line.startsWith('cannot'))).toEqual([
      `cannot start: PONIX_TEST_HTTP_PORT=${port}: cannot listen on 127.0.0.1:${port}: ` +
        'the port is in use by another program; choose another port',
    ])
    expect(service.lines).toContain('closed first')
    other.close()
  })

  test('R-5, G-13: instances that share a port serve on a free port if it is in use', async () => {
    const env = { PONIX_TEST_HTTP_PORT: String(await freePort()) }
    await start({ ...WAITING, sharesPort: true }, env).said('serving')
    for (let number = 2; number <= 3; number++) {
      const service = start({ ...WAITING, sharesPort: true }, env)
      await service.said('serving /healthz, /readyz and /metrics')
      service.kill('SIGTERM')
      expect(await service.ended).toMatchObject({ code: 0 })
    }
  })

  test('R-5 R-7 reports an invalid port with the expected range', async () => {
    const service = start(WAITING, { PONIX_TEST_HTTP_PORT: '99999' })
    expect(await service.ended).toMatchObject({ code: 1 })
    expect(service.lines).toContain(
      'cannot start: PONIX_TEST_HTTP_PORT="99999": expected a whole number from 0 to 65535',
    )
  })

  test('R-6 reports a server that does not answer with one line on stderr and exit code 1', async () => {
    const service = start({ ...WAITING, start: 'no server' }, { PONIX_STARTUP_TIMEOUT_SECS: '0.2' })
    const { code, stderr } = await service.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/^test: NATS at localhost:1 did not answer for 0\.2 s: ECONNREFUSED \(.*\)\n$/)
  })

  test('reports any other error at the start with one line, and with its stack at level debug', async () => {
    const surprise: ServiceScript = { ...WAITING, start: 'surprise' }
    expect(await start(surprise).ended).toMatchObject({ code: 1, stderr: 'test: x is not a function\n' })
    const { stderr } = await start(surprise, { PONIX_LOG_LEVEL: 'debug' }).ended
    expect(stderr).toMatch(/^test: x is not a function\nTypeError: x is not a function\n +at /)
    const refused = await start({ ...WAITING, start: 'refused' }, { PONIX_LOG_LEVEL: 'debug' }).ended
    expect(refused.stderr).toBe('test: NATS at localhost:4222 rejected the credentials\n')
  })

  test('R-7 exits with code 2 on an invalid environment before anything runs', async () => {
    const service = start(WAITING, { PONIX_LOG_LEVEL: 'loud', PONIX_STARTUP_TIMEOUT_SECS: 'soon' })
    const { code, stderr } = await service.ended
    expect(code).toBe(2)
    expect(stderr.trimEnd().split('\n')).toHaveLength(2)
    expect(service.lines).toEqual([])
  })

  test('R-5 derives the port variable from the name of the service', () => {
    expect(httpPortVariable('gateway-orchestrator')).toBe('PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT')
  })
})

/** Sends a GET request with these headers, also `Host`, which fetch does not send. */
async function statusOf(port: number, path: string, headers: OutgoingHttpHeaders): Promise<number | undefined> {
  const [response] = await once(get({ host: '127.0.0.1', port, path, headers }), 'response')
  response.resume()
  return response.statusCode
}
