import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import {
  CapturedOutput,
  openRig,
  type ProcessSketch,
  supervise,
} from '../../../test/rig/orchestrator/supervised-graph.ts'

function shell(command: string, over: Partial<ProcessSketch> = {}): ProcessSketch {
  return { name: 'a', kind: 'task', command, shell: true, tty: true, ...over }
}

/** Calls `act` after so many turns of the event loop; in each, more output of a child can arrive. */
function afterTurns(turns: number, act: () => void): void {
  if (turns === 0) act()
  else setImmediate(() => afterTurns(turns - 1, act))
}

describe('a child with a terminal', () => {
  test('has a terminal of 80 × 24 as stdin, stdout, stderr and controlling terminal if the orchestrator has none', async () => {
    const graph = supervise([shell('test -t 0 && test -t 1 && test -t 2 && stty size </dev/tty; echo "$TERM"')])
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect(graph.stdout.lines).toEqual(['[a]            24 80', '[a]            xterm-256color'])
    expect(graph.stderr.lines).toEqual([])
  })

  test('leads its own process group and session, and has the run tag (O-37)', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), tty: true }])
    const child = await rig.nextStart('a')
    expect(await child.environment()).toMatchObject({ PONIX_SUPERVISED: expect.stringMatching(/\/a\/1$/) })
    expect(await graph.next('process_started')).toMatchObject({ pid: child.pid })
    await child.fork('grandchild')
    const grandchild = await rig.nextStart('grandchild')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    await Promise.all([child.gone, grandchild.gone])
  })

  test('loses no line of fast output to a slow reader, and none after its exit (O-31)', async () => {
    const lines: string[] = []
    let rest = ''
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _, callback) {
        const parts = (rest + chunk.toString()).split('\n')
        rest = parts.pop() ?? ''
        lines.push(...parts)
        afterTurns(50, callback)
      },
    })
    const graph = supervise([shell('seq 1 200000; printf "the last line"')], { stdout: slow })
    expect(await graph.ended).toEqual({ exitCode: 0 })
    const numbers = Array.from({ length: 200_000 }, (_, index) => `[a]            ${index + 1}`)
    expect(lines).toHaveLength(200_001)
    expect(lines.slice(0, -1)).toEqual(numbers)
    expect(lines.at(-1)).toBe('[a]            the last line')
  })

  test('shows a prompt without a newline', async () => {
    const graph = supervise([shell('printf "Continue? "; read answer', { kind: 'service' })])
    await graph.stdout.holds('Continue?')
    expect(graph.stdout.lines).toEqual(['[a]            Continue? '])
  })

  test.each([
    ['exit 3', { code: 3, signal: null }],
    ['kill -KILL $$', { code: null, signal: 'SIGKILL' }],
    ['true', { code: 0, signal: null }],
  ] as const)('reports the exit of "%s"', async (command, exit) => {
    const graph = supervise([shell(command, { kind: 'service', restart: { policy: 'never' } })])
    expect(await graph.next('process_exited')).toMatchObject({ exit })
  })

  test.each([
    [{ command: '/no/such/program' }, '"/no/such/program" was not found (expected at /no/such/program)'],
    [{ command: 'no-such-program' }, expect.stringMatching(/^"no-such-program" was not found on PATH/)],
    [{ command: '/etc/passwd' }, '"/etc/passwd" is not executable; run chmod +x'],
    [{ command: '/tmp' }, '"/tmp" is a folder, not a program'],
    [{ command: 'true', cwd: '/no/such/folder' }, 'its cwd "/no/such/folder" does not exist'],
  ] as const)('reports %j as a child without a terminal does (O-34)', async (over, message) => {
    const messages = [true, false].map(async (tty) => {
      const graph = supervise([{ name: 'a', tty, ...over }])
      return (await graph.next('spawn_failed')).message
    })
    const [withTerminal, without] = await Promise.all(messages)
    expect(withTerminal).toBe(without)
    expect(withTerminal).toEqual(message)
  })

  test('receives the stop signal, and SIGKILL after the time-out', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), tty: true, shutdown: { timeoutMs: 50 } }])
    const child = await rig.nextStart('a')
    await child.keep('SIGTERM')
    const signal = child.nextSignal()
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(await signal).toBe('SIGTERM')
    expect(graph.eventSequence('process_killed')).toEqual(['killed a'])
  })

  test('has no colours in a log file and on a pipe, but on a terminal', async () => {
    const command = String.raw`printf '\033[32mgreen\033[39m\n'`
    const plain = supervise([shell(command)])
    await plain.ended
    expect(plain.stdout.lines).toEqual(['[a]            green'])
    const coloured = new CapturedOutput()
    await supervise([shell(command)], { colour: { stdout: true, stderr: true }, stdout: coloured }).ended
    expect(coloured.text).toContain('\u001b[32mgreen\u001b[39m')
  })
})
