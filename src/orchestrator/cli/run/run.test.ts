import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Program } from '../../../../test/rig/program.ts'

let program: CommandLine
beforeAll(async () => {
  program = new CommandLine()
}, 60_000)
afterAll(() => program.dispose())

const line = (command: string, rest: object = {}) => ({ command, shell: true, ...rest })
const sleeper = line('echo up; exec sleep 1000')
/** A program that reports SIGTERM and continues. */
const stubborn = line('trap "echo no" TERM; echo up; while :; do sleep 0.1; done', { shutdown: { timeout_ms: 60_000 } })

function start(processes: object, ...args: readonly string[]): Program {
  program.writeConfig({ processes })
  return program.start(...args)
}

/** Returns the pid of a started process. */
async function pidOf(running: Program, name: string): Promise<number> {
  const [, pid] = await running.seen(new RegExp(`${name}: started \\(pid (\\d+)\\)`))
  return Number(pid)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('the command run (O-1)', () => {
  it('shows lines of both streams with padded prefixes, and exits with 0 when all processes have ended (O-31, O-35)', async () => {
    const running = start({
      'long-name': line('echo one', { kind: 'task' }),
      b: line('printf "two\nthree" >&2', { kind: 'task', depends_on: ['long-name'] }),
    })
    const { code, stdout, stderr } = await running.outcome
    expect([code, stdout]).toEqual([0, '[long-name]    one\n'])
    const lines = stderr.split('\n')
    expect(lines).toContain('[b]            two')
    expect(lines).toContain('[b]            three')
    expect(lines.every((text) => text === '' || /^\[(?:b|orchestrator)\] +\S/.test(text))).toBe(true)
  })

  it('logs one line for each start, exit, restart and stop (O-32)', async () => {
    const running = start({ a: line('exit 3', { restart: { max_attempts: 1, backoff_ms: 1 } }) })
    const { code, stderr } = await running.outcome
    expect(code).toBe(1)
    const seen = stderr.replaceAll(/\d+ ms|pid \d+/g, '…').split('\n')
    expect(seen).toEqual(
      expect.arrayContaining([
        '[orchestrator] a: started (…)',
        '[orchestrator] a: exited with code 3 after …',
        '[orchestrator] a: restarts in … (attempt 1 of 1)',
        '[orchestrator] a: started again (…)',
        expect.stringMatching(/^\[orchestrator\] a: failed permanently: /),
      ]),
    )
  })

  it('names the reason of a failed start in one line, and a similar program for a misspelt one (O-34)', async () => {
    const { code, stderr } = await start({ a: { command: 'nodee' } }).outcome
    expect(code).toBe(1)
    const lines = stderr.split('\n').filter((each) => each.includes('could not be started'))
    expect(lines).toEqual([
      expect.stringMatching(
        /^\[orchestrator\] a: could not be started: "nodee" was not found on PATH \(searched [^)]+\); did you mean "node"\?$/,
      ),
      '[orchestrator] stopping everything: "a" could not be started',
    ])
    const { stderr: ofTask } = await start({ t: line('exit 3', { kind: 'task' }) }).outcome
    expect(ofTask).toContain('stopping everything: "t" failed\n')
  })

  it('logs one line for the end of a task that succeeds (O-32)', async () => {
    const job = { kind: 'task', success_exit_codes: [0, 3] }
    const { stderr } = await start({ a: line('true', job), b: line('exit 3', { ...job, depends_on: ['a'] }) }).outcome
    const ends = stderr.replaceAll(/\d+ ms/g, '…').match(/(?:exited|completed) .*/g)
    expect(ends).toEqual(['completed after …', 'completed after … (exited with code 3)'])
  })

  it('shows the line that makes a process ready before the message about it (O-31, O-32)', async () => {
    const running = start({ a: line('echo up >&2; exec sleep 1000', { readiness_probe: { log_line: 'up' } }) })
    await running.seen(/is ready/)
    running.signal('SIGINT')
    const { stderr } = await running.outcome
    expect(
      stderr
        .replaceAll(/\d+ ms|pid \d+/g, '…')
        .split('\n')
        .slice(0, 3),
    ).toEqual(['[orchestrator] a: started (…)', '[a]            up', '[orchestrator] a: ready after …'])
  })

  it('writes only JSON lines with --log-format json', async () => {
    const running = start({ a: line('echo one; echo two >&2', { kind: 'task' }) }, '--log-format', 'json')
    const { stdout, stderr } = await running.outcome
    const parse = (text: string) =>
      text
        .trimEnd()
        .split('\n')
        .map((each): unknown => JSON.parse(each))
    expect(parse(stdout)).toEqual([expect.objectContaining({ process: 'a', stream: 'stdout', line: 'one' })])
    expect(parse(stderr)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ process: 'a', stream: 'stderr', line: 'two' }),
        expect.objectContaining({
          process: 'orchestrator',
          event: expect.objectContaining({ type: 'process_started', process: 'a' }),
        }),
      ]),
    )
  })

  const record = '{"level":30,"time":1,"name":"a","msg":"listening","port":80}'

  it('shows JSON records of a process in readable form on a pipe with --log-format text (O-31)', async () => {
    const processes = { a: line(`echo '${record}'; echo '${record}' >&2; echo plain`, { kind: 'task' }) }
    const { stdout, stderr } = await start(processes, '--log-format', 'text').outcome
    const readable = '[a]            [00:00:00.001] INFO: listening {"port":80}'
    expect(stdout.split('\n')).toEqual([readable, '[a]            plain', ''])
    expect(stderr.split('\n')).toContain(readable)
  })

  it('passes JSON records of a process to a pipe unchanged without --log-format (O-31)', async () => {
    const { stdout } = await start({ a: line(`echo '${record}'`, { kind: 'task' }) }).outcome
    expect(stdout).toBe(`[a]            ${record}\n`)
  })

  it.each([
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: '0' }, false],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    [{}, false],
  ])('colours lines on a pipe with %j: %s (O-31)', async (environment, isColoured) => {
    program.environment = { FORCE_COLOR: '0', NO_COLOR: '', ...environment }
    const { stdout, stderr } = await start({ a: line('echo one', { kind: 'task' }) }).outcome
    program.environment = {}
    expect(stdout).toBe(isColoured ? '\u001b[36m[a]\u001b[39m            one\n' : '[a]            one\n')
    expect(stderr.includes('\u001b[1m[orchestrator] ')).toBe(isColoured)
  })

  it('supervises a process without its dependencies with --only (O-3)', async () => {
    const running = start(
      { db: sleeper, a: line('echo here; exit 1', { depends_on: ['db'], restart: { backoff_ms: 1 } }) },
      '--only',
      'a',
    )
    await running.seen(/here[^]*here[^]*here/)
    running.signal('SIGTERM')
    const { code, stdout, stderr } = await running.outcome
    expect([code, stdout.includes('[db]')]).toEqual([0, false])
    expect(stderr).toContain('restarts in')
  })

  it('fails with the reason if a command does not exist (O-34)', async () => {
    const running = start({ a: sleeper, b: { command: 'no-such-program', depends_on: ['a'] } })
    const { code, stderr } = await running.outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/\[orchestrator\] b: could not be started: .*no-such-program/)
    expect(stderr).toContain('a: stopped')
  })

  it('shows the last output of a process that did not become ready (O-36)', async () => {
    const silent = line('echo almost; exec sleep 1000', { readiness_probe: { notify: true }, startup_timeout_ms: 2000 })
    const { code, stderr } = await start({ silent, user: line('true', { depends_on: ['silent'] }) }).outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /\[orchestrator\] silent: failed permanently: .*its last output:\n\[orchestrator\] {3}\| almost\n/,
    )
  })

  it('reports an unreachable MQTT broker in one error with the remedy and exit code 1 (O-30)', async () => {
    const running = start({ user: line('true', { uses: 'mqtt_broker' }) }, '--mqtt-broker', 'localhost:1')
    const { code, stdout, stderr } = await running.outcome
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr.match(/the MQTT broker at localhost:1 cannot be reached: .*mosquitto -p 1/g)).toHaveLength(1)
    expect(stderr).not.toContain('user: started')
  })
})

describe('a file without an MQTT broker (O-30)', () => {
  it('runs a command named commonplace-*, and no process has MQTT_BROKER', async () => {
    const print = 'echo "arguments: $*, broker: ${MQTT_BROKER-none}"'
    writeFileSync(join(program.folder, 'commonplace-store'), `#!/bin/sh\n${print}\n`, { mode: 0o755 })
    const store = { command: './commonplace-store', kind: 'task' }
    const { code, stdout } = await start({ store, other: line(print, { kind: 'task' }) }).outcome
    expect(code).toBe(0)
    expect(stdout.split('\n').sort()).toEqual([
      '',
      '[other]        arguments: , broker: none',
      '[store]        arguments: , broker: none',
    ])
  })
})

describe('the exit code of run', () => {
  it('is that of the first process that ends with --abort-on-exit, which stops everything', async () => {
    const running = start({ a: sleeper, b: line('exit 7', { depends_on: ['a'] }) }, '--abort-on-exit')
    const { code, stderr } = await running.outcome
    expect(code).toBe(7)
    expect(stderr).toContain('a: stopped')
  })

  it('is that of the named process with --exit-code-from', async () => {
    const running = start({ a: sleeper, b: line('exit 4', { depends_on: ['a'] }) }, '--exit-code-from', 'b')
    expect((await running.outcome).code).toBe(4)
  })

  it('is 0 when all processes have ended, or 1 if one failed permanently (O-35)', async () => {
    const never = { restart: { policy: 'never' } }
    expect((await start({ a: line('true', never), b: line('true', never) }).outcome).code).toBe(0)
    expect((await start({ a: line('true', never), b: line('false', never) }).outcome).code).toBe(1)
  })
})

describe('a signal (O-37)', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    '%s stops dependents first, exits with 0 and leaves no process',
    async (signal) => {
      const running = start({ a: sleeper, b: { ...sleeper, depends_on: ['a'] } })
      const pids = [await pidOf(running, 'a'), await pidOf(running, 'b')]
      await running.seen(/both processes are ready/)
      running.signal(signal)
      const { code, stderr } = await running.outcome
      expect(code).toBe(0)
      expect(stderr.indexOf('b: stopped')).toBeLessThan(stderr.indexOf('a: stopping'))
      expect(pids.filter(isAlive)).toEqual([])
    },
  )

  it.each([
    ['SIGINT', 'SIGINT', 130],
    ['SIGTERM', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const)(
    '%s and then %s kills immediately, exits with %i and leaves no process',
    async (first, second, exitCode) => {
      const running = start({ stubborn })
      const pid = await pidOf(running, 'stubborn')
      await running.seen(/up/)
      running.signal(first)
      await running.seen(/\[stubborn\] +no/)
      running.signal(second)
      expect((await running.outcome).code).toBe(exitCode)
      expect(isAlive(pid)).toBe(false)
    },
  )

  it('takes effect during a probe and a backoff, and nothing starts afterwards', async () => {
    const running = start({
      probed: line('echo up; exec sleep 1000', { readiness_probe: { notify: true } }),
      waiting: line('true', { depends_on: ['probed'] }),
      failing: line('exit 1', { restart: { backoff_ms: 60_000, max_backoff_ms: 60_000 } }),
    })
    await running.seen(/up/)
    await running.seen(/failing: restarts in 1 min/)
    running.signal('SIGTERM')
    const { code, stderr } = await running.outcome
    expect(code).toBe(0)
    expect(stderr.match(/: started/g)).toHaveLength(2)
    expect(stderr).not.toContain('started again')
  })
})

describe('a reader of the output (O-31)', () => {
  it('can close the stream without ending supervision', async () => {
    const running = start({ a: line('while :; do echo noise; echo noise >&2; sleep 0.05; done'), b: sleeper })
    await running.seen(/noise/)
    running.child.stdout?.destroy()
    await running.seen(/cannot write to stdout/)
    running.child.stderr?.destroy()
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(0)
  })

  it('can be stuck without blocking a stop', async () => {
    const running = start({ a: line('yes'), b: line('yes >&2') })
    await running.seen(/\[a\]/)
    running.child.stdout?.pause()
    running.child.stderr?.pause()
    running.signal('SIGTERM')
    const exited = new Promise((resolve) => running.child.once('exit', resolve))
    expect(await exited).toBe(0)
    running.child.stdout?.destroy()
    running.child.stderr?.destroy()
  })
})
