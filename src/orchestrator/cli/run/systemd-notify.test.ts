import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Program } from '../../../../test/rig/program.ts'
import { SystemdNotifier, watchdogIntervalMs } from './systemd-notify.ts'
import { NotifySocket } from '../../../../test/rig/orchestrator/notify-socket.ts'

let program: CommandLine
beforeAll(async () => {
  program = new CommandLine()
}, 300_000)
afterAll(() => program.dispose())

async function openSocket(): Promise<NotifySocket> {
  const socket = await NotifySocket.open()
  onTestFinished(() => socket[Symbol.asyncDispose]())
  return socket
}

function start(processes: object, environment: Readonly<Record<string, string>>): Program {
  program.writeConfig({ processes })
  program.environment = environment
  return program.start()
}

const line = (command: string, rest: object = {}) => ({ command, shell: true, ...rest })
const sleeper = line('exec sleep 1000')
/** A process that becomes ready when the file `gate` exists. */
const gatedBy = (gate: string) => ({ ...sleeper, readiness_probe: { exec: ['test', '-e', gate], period_ms: 10 } })
const open = (gate: string): void => writeFileSync(join(program.folder, gate), '')

describe('the orchestrator under systemd (O-40)', () => {
  //  db (gated) ── web
  it('sends READY=1 only when the whole graph is ready, STATUS= in between, and STOPPING=1 at the end', async () => {
    const socket = await openSocket()
    const running = start(
      { db: gatedBy('gate-1'), web: { ...sleeper, depends_on: ['db'] } },
      { NOTIFY_SOCKET: socket.path },
    )
    await socket.received('STATUS=0 of 2 ready')
    expect(socket.messages.join('\n')).not.toContain('READY=1')
    open('gate-1')
    await socket.received('READY=1')
    await socket.received('STATUS=ready')
    running.signal('SIGTERM')
    await socket.received('STOPPING=1')
    const { code } = await running.outcome
    expect(code).toBe(0)
    const assignments = socket.messages.flatMap((message) => message.split('\n'))
    expect(assignments.filter((word) => word === 'READY=1')).toHaveLength(1)
    expect(assignments.indexOf('STOPPING=1')).toBeGreaterThan(assignments.indexOf('READY=1'))
    expect(assignments).toContain('STATUS=stopping')
  })

  it('sends STOPPING=1 even if everything ends immediately', async () => {
    const socket = await openSocket()
    const running = start({ a: line('exit 3'), b: sleeper }, { NOTIFY_SOCKET: socket.path })
    await running.seen(/started/)
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
    await socket.received('STOPPING=1')
  })

  it('sends RELOADING=1 with the time and then READY=1 for a reload by signal or command', async () => {
    const socket = await openSocket()
    const running = start({ a: sleeper }, { NOTIFY_SOCKET: socket.path })
    await socket.received('READY=1')
    for (const ask of [() => running.signal('SIGHUP'), () => void program.run('reload')]) {
      socket.messages.length = 0
      const before = process.hrtime.bigint() / 1000n
      ask()
      await socket.received('READY=1')
      const [reloading, ready, ...more] = socket.messages.filter((message) => /^(RELOADING|READY)=/m.test(message))
      const [, time = '0'] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading ?? '') ?? []
      expect(BigInt(time)).toBeGreaterThan(before)
      expect([ready, more]).toEqual(['READY=1', []])
    }
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
  })

  it('sends READY=1 after a rejected reload, and its reason in the status until the next good one', async () => {
    const socket = await openSocket()
    const running = start({ a: sleeper }, { NOTIFY_SOCKET: socket.path })
    await socket.received('READY=1')
    socket.messages.length = 0
    program.writeConfig('{"processes": {"a": {"comand": "x"}, "b": 1}}')
    running.signal('SIGHUP')
    await socket.received('READY=1')
    const assignments = socket.messages.flatMap((message) => message.split('\n'))
    expect(assignments.indexOf('READY=1')).toBeGreaterThan(assignments.indexOf('RELOADING=1'))
    expect(assignments).toContain(
      'STATUS=ready; reload rejected: commonplace.json:1:21: processes.a.command: is missing; expected a program name or path',
    )
    program.writeConfig({ processes: { a: sleeper } })
    running.signal('SIGHUP')
    await socket.received('STATUS=ready')
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
  })

  it('sends READY=1 after a reload during the start only when all processes are ready', async () => {
    const socket = await openSocket()
    const running = start({ a: gatedBy('gate-3') }, { NOTIFY_SOCKET: socket.path })
    await socket.received('STATUS=0 of 1 ready')
    running.signal('SIGHUP')
    await running.seen(/nothing has changed/)
    open('gate-3')
    await socket.received('READY=1')
    const assignments = socket.messages.flatMap((message) => message.split('\n'))
    expect(assignments.filter((word) => word === 'READY=1' || word.startsWith('RELOADING'))).toEqual(['READY=1'])
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
  })

  it('sends WATCHDOG=1 periodically', async () => {
    const socket = await openSocket()
    const running = start({ a: sleeper }, { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '100000' })
    await socket.received('WATCHDOG=1')
    socket.messages.length = 0
    await socket.received('WATCHDOG=1')
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
  })

  it('passes neither the socket nor the watchdog nor the token to the children (O-42)', async () => {
    const socket = await openSocket()
    const secret = {
      NOTIFY_SOCKET: socket.path,
      WATCHDOG_USEC: '60000000',
      WATCHDOG_PID: '1',
      NOTIFY_FD: '9',
      LISTEN_FDS: '1',
      LISTEN_PID: '1',
      LISTEN_FDNAMES: 'x',
      PONIX_CONTROL_TOKEN: 'hunter22',
    }
    const running = start({ a: { command: 'env', kind: 'task' } }, { ...secret, PASSED_ON: 'yes' })
    const { stdout, stderr } = await running.outcome
    expect(stdout).toContain('PASSED_ON=yes')
    for (const name of Object.keys(secret)) expect(stdout).not.toContain(name)
    expect(stdout + stderr).not.toContain('hunter22')
  })

  it('warns once if systemd cannot be notified, and keeps supervising', async () => {
    const running = start({ a: gatedBy('gate-2'), b: sleeper }, { NOTIFY_SOCKET: join(program.folder, 'no-listener') })
    await running.seen(/cannot notify systemd: /)
    open('gate-2')
    await running.seen(/both processes are ready/)
    running.signal('SIGTERM')
    const { code, stderr } = await running.outcome
    expect(code).toBe(0)
    expect(stderr.match(/cannot notify systemd/g)).toHaveLength(1)
  })

  it('keeps supervising if systemd-notify is missing or hangs', async () => {
    const bin = emptyFolder()
    const path = `${bin}:${process.env['PATH'] ?? ''}`
    writeFileSync(join(bin, 'systemd-notify'), '#!/bin/sh\necho $$ >&2\nexec sleep 1000\n')
    chmodSync(join(bin, 'systemd-notify'), 0o755)
    const running = start({ a: sleeper }, { NOTIFY_SOCKET: '/nowhere', PATH: path })
    await running.seen(/process is ready/)
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
    const without = start({ a: { command: '/bin/sleep', args: ['1000'] } }, { NOTIFY_SOCKET: '/nowhere', PATH: bin })
    rmSync(join(bin, 'systemd-notify'))
    await without.seen(/cannot notify systemd: .*systemd-notify/)
    without.signal('SIGTERM')
    expect((await without.outcome).code).toBe(0)
  })

  it('sends nothing without NOTIFY_SOCKET', async () => {
    const running = start(
      { a: { command: 'true', kind: 'task' } },
      { WATCHDOG_USEC: '1000', PATH: process.env['PATH'] ?? '' },
    )
    const { code, stderr } = await running.outcome
    expect(code).toBe(0)
    expect(stderr).not.toContain('systemd')
  })
})

describe('a notifier (O-40)', () => {
  /** Returns the notifier of a ready graph, and the socket that receives its messages. */
  async function readyNotifier(): Promise<{ readonly notifier: SystemdNotifier; readonly socket: NotifySocket }> {
    const socket = await openSocket()
    const notifier = new SystemdNotifier({
      environment: { NOTIFY_SOCKET: socket.path, PATH: process.env['PATH'] },
      pid: process.pid,
      processes: () => [{ name: 'a', readinessProbe: null }],
      warn: () => undefined,
    })
    notifier.event({ type: 'process_started', process: 'a', pid: 1, attempt: 0, again: false })
    notifier.event({ type: 'all_ready', afterMs: 1, count: 1 })
    return { notifier, socket }
  }

  it('never sends RELOADING=1 and READY=1 in one message, because systemd would apply only one', async () => {
    const { notifier, socket } = await readyNotifier()
    notifier.reloading()
    notifier.reloaded('it is bad:\nvery bad')
    notifier.reloading()
    notifier.reloaded('this one too')
    await socket.received('STATUS=ready; reload rejected: this one too')
    await notifier.close()
    expect(socket.messages).toEqual([
      'STATUS=ready\nREADY=1',
      expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=ready; reload rejected: it is bad:$/),
      'READY=1\nSTATUS=ready; reload rejected: this one too',
    ])
  })

  it('sends nothing about a reload once the stop has begun', async () => {
    const { notifier, socket } = await readyNotifier()
    await socket.received('READY=1')
    notifier.reloading()
    await socket.received('RELOADING=1')
    notifier.event({ type: 'stopping', reason: { type: 'asked' } })
    notifier.reloaded('it is stopping everything')
    notifier.reloading()
    notifier.reloaded(null)
    await socket.received('STOPPING=1')
    await notifier.close()
    const after = socket.messages.slice(socket.messages.findIndex((message) => message.startsWith('RELOADING')) + 1)
    expect(after.join('\n')).toContain('STOPPING=1')
    expect(after.join('\n')).not.toMatch(/READY|RELOADING/)
  })
})

describe('watchdogIntervalMs (O-40)', () => {
  it.each([
    [{ WATCHDOG_USEC: '30000000' }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '42' }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '43' }, null],
    [{ WATCHDOG_USEC: '1' }, 1],
    [{ WATCHDOG_USEC: '99999999999999999999' }, 2_147_483_647],
    [{ WATCHDOG_USEC: '0' }, null],
    [{ WATCHDOG_USEC: 'x' }, null],
    [{ WATCHDOG_PID: '42' }, null],
  ])('returns for %j: %j', (environment, expected) => expect(watchdogIntervalMs(environment, 42)).toBe(expected))
})
