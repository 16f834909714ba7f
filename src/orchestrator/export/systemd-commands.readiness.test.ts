import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import type { ResolvedProbe } from '../config/resolved.ts'
import type { ExportedProbe } from './exported-graph.ts'
import { awaitAddress, bridgeNotification, commandLine, needsCurl, readinessCommand } from './systemd-commands.ts'
import { NotifySocket } from '../../../test/rig/orchestrator/notify-socket.ts'
import { parseUnit } from '../../../test/rig/orchestrator/systemd.ts'

function probe(check: ExportedProbe['check']): ExportedProbe {
  const times: Omit<ResolvedProbe, 'check'> = {
    initialDelayMs: 0,
    periodMs: { beforeReady: 10, afterReady: 5000 },
    timeoutMs: 2000,
    successThreshold: 1,
    failureThreshold: 3,
  }
  return { ...times, check }
}

/** Starts a command line of a unit as systemd does, with its words and variables. */
async function start(line: string, environment: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const { commands } = await parseUnit(`[Service]\nExecStart=${line}\n`)
  const [program = '', ...args] = (commands[0] ?? []).map((word) => word.replaceAll('$$', '$'))
  const env = { PATH: process.env['PATH'] ?? '', ...environment }
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Returns the exit code of a command. */
async function codeOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', resolve))
}

/** Runs the readiness command of a probe, with this process as main process. */
function startProbe(check: ExportedProbe['check'], pid = process.pid): Promise<ChildProcess> {
  return start(readinessCommand(probe(check)) ?? '', { MAINPID: String(pid) })
}

async function listen(
  handler: RequestListener = (_, response) => response.end(),
): Promise<{ server: Server; port: number }> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
  return { server, port: (server.address() as AddressInfo).port }
}

describe('the start of a unit (O-10)', () => {
  it('waits with tcp_socket until the port accepts connections', async () => {
    const { port } = await listen()
    expect(await codeOf(await startProbe({ type: 'tcp_socket', host: '127.0.0.1', port }))).toBe(0)
  })

  it('waits with http_get through status 500 until status 302', async () => {
    const requested: string[] = []
    const { port } = await listen((request, response) => {
      requested.push(request.url ?? '')
      response.writeHead(requested.length === 1 ? 500 : 302, { location: '/elsewhere' }).end()
    })
    const url = { text: `http://127.0.0.1:${port}/ready?x=1` }
    expect(await codeOf(await startProbe({ type: 'http_get', url }))).toBe(0)
    expect(requested).toEqual(['/ready?x=1', '/ready?x=1'])
  })

  it.each([
    [{ text: 'http://127.0.0.1:80/x' }, false],
    [{ text: 'https://127.0.0.1/x' }, true],
    [{ secret: 'STORE_READINESS_1' }, true],
  ])('reports for the URL %j that it needs curl: %j', (url, expected) => {
    expect(needsCurl(url)).toBe(expected)
    expect(readinessCommand(probe({ type: 'http_get', url }))?.includes('curl ')).toBe(expected)
  })

  it('waits with exec, words unchanged, until it exits with 0', async () => {
    const file = join(emptyFolder(), "it's 100 % $HOME")
    const child = await startProbe({ type: 'exec', words: [{ text: 'test' }, { text: '-e' }, { text: file }] })
    writeFileSync(file, '')
    expect(await codeOf(child)).toBe(0)
  })

  it('ends with a failure immediately when the process is gone', async () => {
    const gone = spawn('true')
    const { pid } = gone
    await codeOf(gone)
    expect(await codeOf(await startProbe({ type: 'exec', words: [{ text: 'false' }] }, pid))).toBe(1)
  })

  it('converts the newline of notify to READY=1 and keeps the program as main process', async () => {
    const socket = await NotifySocket.open()
    onTestFinished(() => socket[Symbol.asyncDispose]())
    const program = ['/bin/sh', '-c', 'echo $$; read x <"$1"; echo >&"$NOTIFY_FD"; exec sleep 1000', 'sh'] as const
    const gate = join(emptyFolder(), 'gate')
    await codeOf(spawn('mkfifo', [gate]))
    const words = bridgeNotification([...program, gate].map((text) => ({ text })))
    const child = await start(commandLine(words), { NOTIFY_SOCKET: socket.path })
    const output = await new Promise((resolve) => child.stdout?.once('data', (text: Buffer) => resolve(String(text))))
    expect(output).toBe(`${child.pid}\n`)
    expect(socket.messages).toEqual([])
    writeFileSync(gate, '\n')
    await socket.received('READY=1')
  })

  it('waits for an MQTT broker', async () => {
    const { port } = await listen()
    expect(await codeOf(await start(awaitAddress('127.0.0.1', port), {}))).toBe(0)
  })
})
