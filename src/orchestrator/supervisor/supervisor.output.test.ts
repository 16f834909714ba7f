import { describe, expect, test } from 'vitest'
import { LostReader, SlowReader, StuckReader } from '../../../test/rig/orchestrator/readers.ts'
import { openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { CUT_MARK, LineSplitter, MAX_LINE_BYTES } from './output/lines.ts'

const PREFIX_BYTES = '[orchestrator] '.length
const padded = (name: string) => `[${name}]`.padEnd(PREFIX_BYTES)
const task = (name: string, command: string) => ({ name, kind: 'task', command, shell: true }) as const
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1))

/** Returns the lines of one process, without their prefix. */
function linesOf(name: string, lines: readonly string[]): string[] {
  const prefix = padded(name)
  return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length))
}

describe('the output of several children at full rate (O-31)', () => {
  test('loses, tears, merges and reorders no line, and keeps the streams separate', async () => {
    const names = ['a', 'b', 'c', 'd']
    const graph = supervise(names.map((name) => task(name, 'seq 1 40000 & seq 1 40000 >&2; wait')))
    expect(await graph.ended).toEqual({ exitCode: 0 })
    for (const output of [graph.stdout, graph.stderr]) {
      const { lines } = output
      expect(lines).toHaveLength(names.length * 40_000)
      for (const name of names) expect(linesOf(name, lines)).toEqual(numbers(40_000))
    }
  })

  test('slows the children down to the speed of the reader, with a bounded buffer and no loss', async () => {
    const lines: string[] = []
    const splitter = new LineSplitter((block) => lines.push(...block.split('\n')))
    const reader = new SlowReader((bytes) => splitter.push(bytes))
    const graph = supervise([task('a', 'seq 1 500000'), task('b', 'seq 1 500000')], { stdout: reader })
    expect(await graph.ended).toEqual({ exitCode: 0 })
    for (const name of ['a', 'b']) expect(linesOf(name, lines)).toEqual(numbers(500_000))
    expect(reader.maxBuffered).toBeLessThan(2 * 1024 * 1024)
  })

  test('never blocks a stop when the reader is stuck', async () => {
    const reader = new StuckReader()
    const graph = supervise([task('a', 'yes'), { name: 'b', command: 'yes', restart: {} }], { stdout: reader })
    await reader.blocked
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_stopped', 'process_killed').sort()).toEqual(['stopped a', 'stopped b'])
  })

  test('does not hide an exit when the reader is stuck: the process restarts', async () => {
    const rig = await openRig()
    const reader = new StuckReader()
    const graph = supervise(
      [
        { name: 'noisy', command: 'yes' },
        { name: 'a', ...rig.program('a') },
      ],
      { stdout: reader },
    )
    await reader.blocked
    const a = await rig.nextStart('a')
    await a.print('something\n')
    await a.exit(1)
    await rig.nextStart('a')
    expect(graph.eventSequence('process_exited')).toEqual(['exited a'])
  })

  test('continues on the other stream when a reader is gone, which is reported once, and supervision continues', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }], { stdout: new LostReader() })
    const first = await rig.nextStart('a')
    await first.print('one\n')
    expect(await graph.next('output_closed')).toMatchObject({ stream: 'stdout', reason: 'write EPIPE' })
    await first.print('a line\n', 100_000)
    await first.printError('heard\n')
    await graph.stderr.holds(`${padded('a')}heard\n`)
    await first.exit(1)
    const second = await rig.nextStart('a')
    await second.print('two\n')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('output_closed')).toHaveLength(1)
  })
})

describe('unusual output (O-31)', () => {
  test('a last line without a newline is shown at the exit, on both streams', async () => {
    const graph = supervise([task('a', 'printf "one\\ntwo"; printf "three" >&2')])
    await graph.ended
    expect(graph.stdout.text).toBe(`${padded('a')}one\n${padded('a')}two\n`)
    expect(graph.stderr.text).toBe(`${padded('a')}three\n`)
  })

  test('the last lines of a child are complete although the next child writes immediately', async () => {
    const graph = supervise([
      { name: 'a', command: 'printf one', shell: true, restart: { policy: 'on_failure', maxAttempts: 3 } },
      { name: 'b', command: 'printf two; exit 1', shell: true, restart: { maxAttempts: 20 } },
    ])
    await graph.ended
    expect(linesOf('a', graph.stdout.lines)).toEqual(['one'])
    expect(linesOf('b', graph.stdout.lines)).toEqual(Array.from({ length: 21 }, () => 'two'))
  })

  test('a line longer than 64 KiB is split into marked pieces, without loss of the lines of other children', async () => {
    const graph = supervise([
      task('long', 'head -c 200000 /dev/zero | tr "\\0" x; echo; echo after'),
      task('short', 'seq 1 1000'),
    ])
    await graph.ended
    const pieces = linesOf('long', graph.stdout.lines)
    expect(pieces.at(-1)).toBe('after')
    const long = pieces.slice(0, -1)
    expect(long.slice(0, -1).every((piece) => piece.endsWith(CUT_MARK))).toBe(true)
    expect(long.map((piece) => piece.replace(CUT_MARK, '')).join('')).toBe('x'.repeat(200_000))
    expect(linesOf('short', graph.stdout.lines)).toEqual(numbers(1000))
  })

  test('50 MB without a newline pass in pieces of bounded size, with bounded memory', async () => {
    const total = 50 * 1024 * 1024
    const chunks: Buffer[] = []
    const reader = new SlowReader((chunk) => chunks.push(Buffer.from(chunk)))
    const graph = supervise([task('a', `head -c ${total} /dev/zero | tr "\\0" x`)], { stdout: reader })
    await graph.ended
    const pieces = Buffer.concat(chunks).toString('latin1').trimEnd().split('\n')
    const lengths = pieces.map((piece) => piece.slice(PREFIX_BYTES).length)
    expect(Math.max(...lengths)).toBe(MAX_LINE_BYTES)
    const sum = lengths.reduce((all, length) => all + length, 0)
    expect(sum - (pieces.length - 1) * CUT_MARK.length).toBe(total)
    expect(reader.maxBuffered).toBeLessThan(2 * 1024 * 1024)
  })

  test('invalid UTF-8, NUL, carriage returns and colours pass unchanged', async () => {
    const rig = await openRig()
    const strange = Buffer.from([0xff, 0xfe, 0x00, 0x0d, 0x41, 0xc3, 0x28, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0x0d, 0x0a])
    const graph = supervise([{ name: 'a', ...rig.program('a'), restart: { policy: 'never' } }])
    const a = await rig.nextStart('a')
    await a.print(strange)
    await a.exit(0)
    await graph.ended
    expect(graph.stdout.bytes).toEqual(Buffer.concat([Buffer.from(padded('a')), strange]))
  })

  test('a character that arrives in two parts is shown as one', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const a = await rig.nextStart('a')
    for (const byte of Buffer.from('€uro\n')) await a.print(Buffer.from([byte]))
    await graph.stdout.holds(`${padded('a')}€uro\n`)
    expect(graph.stdout.lines).toEqual([`${padded('a')}€uro`])
  })

  test('a child that closes its stdout remains supervised, and its stderr is shown', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const a = await rig.nextStart('a')
    await a.closeOutput()
    await a.printError('still here\n')
    await graph.stderr.holds('still here\n')
    expect(graph.eventSequence('process_exited')).toEqual([])
    await a.exit(1)
    await rig.nextStart('a')
  })

  test('the output of a grandchild is shown under the same name after its parent has exited', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), restart: { policy: 'never' }, shutdown: { timeoutMs: 60_000 } },
      { name: 'b', ...rig.program('b') },
    ])
    const a = await rig.nextStart('a')
    await a.fork('daemon', { session: true, holdsOutput: true })
    const daemon = await rig.nextStart('daemon')
    await a.exit(0)
    await graph.next('process_completed', 'a')
    await daemon.print('from afar\n')
    await graph.stdout.holds(`${padded('a')}from afar\n`)
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })
})
