import { expect, test, describe } from 'vitest'
import { CapturedOutput } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { jsonWriter, plainWriter, terminalWriter } from './line-writers.ts'
import type { LinesHandler } from './lines.ts'
import { Sink } from './sink.ts'

/** Returns the output of a writer for these lines. */
async function written(
  writer: (sink: Sink) => LinesHandler,
  ...lines: readonly (string | Buffer)[]
): Promise<string[]> {
  const output = new CapturedOutput()
  const write = writer(new Sink(output, () => {}))
  write(lines.map((line) => Buffer.from(line).toString('latin1')).join('\n'))
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  return output.lines
}

describe('plainWriter (O-31)', () => {
  test('prefixes every line, including empty ones; "$&" in a prefix is literal', async () => {
    expect(await written((sink) => plainWriter(sink, () => '[$&] '), 'one', '', 'two')).toEqual([
      '[$&] one',
      '[$&] ',
      '[$&] two',
    ])
  })
})

test('plainWriter writes a prefix that is not ASCII as UTF-8, and the current one (O-31)', async () => {
  let number = 0
  expect(
    await written((sink) => {
      const write = plainWriter(sink, () => `→${number++} `)
      return (lines) => {
        write(lines)
        write(lines)
      }
    }, 'läuft'),
  ).toEqual(['→0 läuft', '→1 läuft'])
})

describe('terminalWriter (O-31)', () => {
  const pretty = (record: object) => `pretty ${JSON.stringify(record)}\n`
  const shown = (...lines: readonly string[]) => written((sink) => terminalWriter(sink, () => '[a] ', pretty), ...lines)

  test('erases the line and repeats the prefix after a \\r within a line, not after one at its end', async () => {
    expect(await shown('10%\r20%\r30%', 'dos\r')).toEqual(['[a] 10%\r\u001b[K[a] 20%\r\u001b[K[a] 30%', '[a] dos\r'])
  })

  test('resets colours at the end of a line', async () => {
    expect(await shown('\u001b[31mred', 'plain')).toEqual(['[a] \u001b[31mred\u001b[0m', '[a] plain'])
  })

  test('leaves out sequences that change the screen or the title, also in a log record', async () => {
    const log = JSON.stringify({ level: 30, time: 1, msg: 'x' })
    const raw = (record: object) => `${'msg' in record ? '\u001b[2J' : ''}pretty\n`
    expect(
      await written((sink) => terminalWriter(sink, () => '[a] ', raw), '\u001b[2J\u001b[Ha\u001b]0;t\u0007b\rc', log),
    ).toEqual(['[a] ab\r\u001b[K[a] c', '[a] pretty'])
  })

  test("formats pino's JSON and leaves other JSON unchanged", async () => {
    const log = '{"level":30,"time":1,"msg":"läuft"}'
    expect(await shown(log, '{"level":30}', '{broken')).toEqual([
      `[a] pretty ${log}`,
      '[a] {"level":30}',
      '[a] {broken',
    ])
  })
})

describe('--log-format json (O-31)', () => {
  const origin = { process: 'a', pid: 7, stream: 'stderr' } as const
  const shown = async (...lines: readonly (string | Buffer)[]) => {
    const texts = await written((sink) => jsonWriter(sink, origin), ...lines)
    return texts.map((text): unknown => JSON.parse(text))
  }

  test('converts a line to an object with its time and origin', async () => {
    const [record] = await shown('say "hi" – ok\u0000\r')
    expect(record).toEqual({ time: expect.any(Number), ...origin, line: 'say "hi" – ok\u0000\r' })
  })

  test('adds the bytes in base64 if they are not UTF-8', async () => {
    const bytes = Buffer.from([0x41, 0xff, 0x00])
    expect(await shown(bytes)).toEqual([
      expect.objectContaining({ line: 'A\uFFFD\u0000', line_base64: bytes.toString('base64') }),
    ])
  })

  test('merges a line that is a JSON object and preserves its time, pid and large numbers', async () => {
    const [text] = await written((sink) => jsonWriter(sink, origin), '{"time":5,"pid":9,"n":12345678901234567890}')
    expect(text).toBe('{"process":"a","stream":"stderr","time":5,"pid":9,"n":12345678901234567890}')
  })

  test('moves conflicting fields of the line below "child"', async () => {
    expect(await shown('{"process":"other","msg":"x"}')).toEqual([
      expect.objectContaining({ process: 'a', msg: 'x', child: { process: 'other' } }),
    ])
  })

  test.each(['{}', '[1]', '{"a":1', '"text"', '12', '{"a":1} {"b":2}'])(
    'quotes %s and does not merge it',
    async (line) => {
      expect(await shown(line)).toEqual([expect.objectContaining({ line })])
    },
  )
})
