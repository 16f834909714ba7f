import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../../../test/rig/servers.ts'
import { isAlive } from '../../../../test/rig/orchestrator/steerable-child.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { listen } from '../../../../test/rig/tcp-proxy.ts'
import { LineTap } from '../output/lines.ts'
import { checkExec, checkHttpGet, checkTcpSocket } from './checks.ts'
import { describeCheck } from './describe.ts'
import { awaitLogLine, awaitNotification } from './probe.ts'

const never = new AbortController().signal
const NO_SECRETS = { env: {}, secretNames: [] }

describe('tcp_socket', () => {
  test.each([
    ['localhost', '127.0.0.1'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
  ])('for the host %s succeeds if a connection is accepted at %s', async (host, listensOn) => {
    const port = await listen(
      createServer((peer) => peer.destroy()),
      listensOn,
    )
    await expect(checkTcpSocket(host, port, never)).resolves.toBeUndefined()
  })

  test('fails with the reason if the port is closed or the host is unknown', async () => {
    await expect(checkTcpSocket('127.0.0.1', await freePort(), never)).rejects.toThrow('connection refused')
    await expect(checkTcpSocket('no-such-host.invalid', 80, never)).rejects.toThrow(
      /^(unknown host name|the host name could not be resolved)$/,
    )
  })

  test('rejects when it is aborted', async () => {
    const cut = AbortSignal.abort()
    const port = await listen(createServer())
    await expect(checkTcpSocket('127.0.0.1', port, cut)).rejects.toThrow('no answer')
  })
})

describe('http_get', () => {
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createHttpServer(listener)
    onTestFinished(() => server.closeAllConnections())
    return `http://127.0.0.1:${await listen(server)}/readyz`
  }

  test.each([200, 204, 301, 302, 399])('succeeds with %i, and redirects are not followed', async (status) => {
    let requests = 0
    const url = await serve((_request, response) => {
      requests += 1
      response.writeHead(status, { location: '/elsewhere' }).end()
    })
    await checkHttpGet(url, NO_SECRETS, never)
    expect(requests).toBe(1)
  })

  test.each([400, 404, 500, 503])('fails with %i and names the status', async (status) => {
    const url = await serve((_request, response) => void response.writeHead(status).end('body'))
    await expect(checkHttpGet(url, NO_SECRETS, never)).rejects.toThrow(`answered ${status}`)
  })

  test.each([
    ['text/plain; charset=utf-8', 'postgres: no answer\nnats: ok\n', 'answered 503: postgres: no answer'],
    ['text/plain', '\u001b[31mred\u001b[0m\ttape', 'answered 503: red tape'],
    ['text/plain', 'x'.repeat(100_000), `answered 503: ${'x'.repeat(300)}`],
    ['text/plain', 'refused the password hunter22', 'answered 503: refused the password ***'],
    ['text/plain', '', 'answered 503'],
    ['application/json', '{"ready":false}', 'answered 503'],
  ])('names the first line of a plain text (B-16): %s %j', async (type, body, answer) => {
    const url = await serve((_request, response) => void response.writeHead(503, { 'content-type': type }).end(body))
    const context = { env: { DB_PASSWORD: 'hunter22' }, secretNames: [] }
    await expect(checkHttpGet(url, context, never)).rejects.toThrow(new Error(answer))
  })

  test('names the status if the answer breaks off within its line', async () => {
    const broken = await serve((_request, response) => {
      response.writeHead(503, { 'content-type': 'text/plain', 'content-length': 10 })
      response.write('half', () => response.destroy())
    })
    await expect(checkHttpGet(broken, NO_SECRETS, never)).rejects.toThrow(/^answered 503/)
  })

  test('sends a password in the URL and never shows it (O-42)', async () => {
    const sent: (string | undefined)[] = []
    const url = await serve((request, response) => {
      sent.push(request.headers.authorization)
      response.writeHead(500).end()
    })
    const secret = url.replace('://', '://me:hunter22@')
    await expect(checkHttpGet(secret, NO_SECRETS, never)).rejects.toThrow(/^answered 500$/)
    expect(describeCheck({ type: 'http_get', url: secret }, NO_SECRETS)).toBe(
      `http_get ${url.replace('://', '://me:***@')}`,
    )
    expect(sent).toEqual([`Basic ${Buffer.from('me:hunter22').toString('base64')}`])
  })

  test('fails with the reason if the port is closed', async () => {
    await expect(checkHttpGet(`http://127.0.0.1:${await freePort()}/`, NO_SECRETS, never)).rejects.toThrow(
      'connection refused',
    )
  })

  test('rejects when it is aborted while the server does not answer', async () => {
    const cut = new AbortController()
    const url = await serve(() => cut.abort())
    await expect(checkHttpGet(url, NO_SECRETS, cut.signal)).rejects.toThrow('no answer')
  })
})

describe('exec', () => {
  const context = {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '', COLOUR: 'blue' },
    secretNames: [],
    runTag: 'test/exec',
  }
  const shell = (line: string) => ['/bin/sh', '-c', line] as const

  test('runs in the cwd and environment of the process; exit code 0 is success', async () => {
    await expect(checkExec(['true'], context, never)).resolves.toBeUndefined()
    await expect(
      checkExec(shell(`test "$COLOUR" = blue && test "$PWD" = "${tmpdir()}"`), context, never),
    ).resolves.toBeUndefined()
  })

  test('fails with any other exit code or a signal, and names it', async () => {
    await expect(checkExec(shell('exit 3'), context, never)).rejects.toThrow(/^exited with code 3$/)
    await expect(checkExec(shell('kill -9 $$'), context, never)).rejects.toThrow(/^was ended by SIGKILL$/)
  })

  test('fails with the reason if the command or the folder does not exist', async () => {
    await expect(checkExec(['no-such-program'], context, never)).rejects.toThrow('"no-such-program" was not found')
    await expect(checkExec(['true'], { ...context, cwd: '/no/such' }, never)).rejects.toThrow(
      '"/no/such" does not exist',
    )
  })

  test('kills the command and all processes that it started when aborted', async () => {
    const rig = await openRig()
    const { command, args, env } = rig.program('probe')
    const cut = new AbortController()
    const checked = checkExec([command, ...args], { ...context, env }, cut.signal)
    const failure = checked.catch(String)
    const probe = await rig.nextStart('probe')
    await probe.fork('member')
    const member = await rig.nextStart('member')
    cut.abort()
    expect(await failure).toContain('did not exit')
    await Promise.all([probe.gone, member.gone])
  })

  test('kills the processes that the command leaves in the background', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-exec-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await checkExec(shell(`sleep 1000 & echo $! > "${folder}/pid"`), context, never)
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'))
    await expect.poll(() => isAlive(pid)).toBe(false)
  })
})

describe('log_line', () => {
  const seen = (pattern: RegExp, ...lines: readonly string[]) => {
    const tap = new LineTap()
    let times = 0
    awaitLogLine(pattern, tap, () => (times += 1), never)
    for (const line of lines) tap.push(Buffer.from(line).toString('latin1'))
    return times
  }

  test('reports the first of several matching lines', () => {
    expect(seen(/listening on \d+/, 'starting', 'listening on 80\nlistening on 81', 'listening on 82')).toBe(1)
  })

  test('does not match across two lines', () => {
    expect(seen(/a.*b/s, 'a\nb')).toBe(0)
  })

  test('matches with and without colours', () => {
    expect(seen(/^ready now$/, '\u001b[32mready\u001b[0m now')).toBe(1)
    expect(seen(/\[32m/, '\u001b[32mready')).toBe(1)
  })

  test('matches UTF-8 text', () => {
    expect(seen(/läuft – 1 €/, 'Server läuft – 1 €')).toBe(1)
  })

  test('reports nothing after it was aborted', () => {
    const tap = new LineTap()
    const over = new AbortController()
    let times = 0
    awaitLogLine(/up/, tap, () => (times += 1), over.signal)
    over.abort()
    tap.push('up')
    expect(times).toBe(0)
  })
})

describe('notify', () => {
  test('reports the first newline once and drops everything else', async () => {
    const stream = new PassThrough()
    let times = 0
    awaitNotification(stream, () => (times += 1), never)
    stream.write('no newline yet')
    stream.write('\n\nmore\n')
    stream.end('\n')
    await once(stream, 'end')
    expect(times).toBe(1)
  })

  test('reports nothing if the stream ends without a newline', async () => {
    const stream = new PassThrough()
    let times = 0
    awaitNotification(stream, () => (times += 1), never)
    stream.end('half')
    await once(stream, 'end')
    expect(times).toBe(0)
  })
})
