import { getEventListeners } from 'node:events'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { CUT_MARK, LineSplitter, MAX_LINE_BYTES, LineTap, RecentLines } from './lines.ts'

function split(chunks: readonly Buffer[]): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter((block) => lines.push(...block.split('\n')))
  for (const chunk of chunks) splitter.push(chunk)
  splitter.end()
  return lines
}

/** Returns a simple reference implementation for lines within the limit. */
function linesOf(bytes: Buffer): string[] {
  const lines = bytes.toString('latin1').split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

function chunked(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

const someBytes = fc
  .array(fc.oneof({ weight: 2, arbitrary: fc.constant(0x0a) }, { weight: 5, arbitrary: fc.nat(255) }), {
    maxLength: 300,
  })
  .map((bytes) => Buffer.from(bytes))
const someCuts = fc.array(fc.nat(1_000_000), { maxLength: 20 })

describe('LineSplitter (O-31)', () => {
  test('splits lines independently of the chunks', () => {
    fc.assert(
      fc.property(someBytes, someCuts, (bytes, cuts) => {
        expect(split(chunked(bytes, cuts))).toEqual(linesOf(bytes))
      }),
    )
  })

  test('splits long lines into marked pieces of at most 64 KiB that make up the line', () => {
    const someLength = fc.oneof(fc.integer({ min: MAX_LINE_BYTES - 4, max: MAX_LINE_BYTES + 4 }), fc.nat(200_000))
    fc.assert(
      fc.property(
        fc.array(someLength, { minLength: 1, maxLength: 4 }),
        fc.nat(255),
        someCuts,
        (lengths, byte, cuts) => {
          const filler = byte === 0x0a ? 0x0b : byte
          const bytes = Buffer.concat(lengths.flatMap((length) => [Buffer.alloc(length, filler), Buffer.from('\n')]))
          const pieces = split(chunked(bytes, cuts))
          expect(pieces).toEqual(split([bytes]))
          expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(MAX_LINE_BYTES)
          const joined = pieces.map((piece) => (piece.endsWith(CUT_MARK) ? piece.slice(0, -2) : `${piece}\n`)).join('')
          expect(joined).toBe(bytes.toString('latin1'))
        },
      ),
      { numRuns: 50 },
    )
  })

  test('keeps a line of 64 KiB whole and splits one of 64 KiB and a byte in two', () => {
    expect(split([Buffer.alloc(MAX_LINE_BYTES, 'a'), Buffer.from('\n')])).toEqual(['a'.repeat(MAX_LINE_BYTES)])
    const pieces = split([Buffer.alloc(MAX_LINE_BYTES + 1, 'a'), Buffer.from('\n')])
    expect(pieces.map((piece) => piece.length)).toEqual([MAX_LINE_BYTES, 3])
    expect(pieces[0]?.endsWith('a \\')).toBe(true)
  })

  test('does not split a UTF-8 character', () => {
    const line = `x${'€'.repeat(50_000)}`
    const pieces = split([Buffer.from(line)])
    const texts = pieces.map((piece) => Buffer.from(piece, 'latin1').toString('utf8'))
    expect(texts.join('').replaceAll(CUT_MARK, '')).toBe(line)
    expect(texts.every((text) => !text.includes('\uFFFD'))).toBe(true)
  })

  test('buffers at most one piece of 50 MB without a newline', () => {
    let bytes = 0
    let longest = 0
    const splitter = new LineSplitter((block) => {
      bytes += block.length - (block.endsWith(CUT_MARK) ? CUT_MARK.length : 0)
      longest = Math.max(longest, block.length)
    })
    const chunk = Buffer.alloc(65_536, 'z')
    for (let n = 0; n < 800; n++) splitter.push(chunk)
    splitter.end()
    expect({ bytes, longest }).toEqual({ bytes: 800 * 65_536, longest: MAX_LINE_BYTES })
  })

  test('leaves empty lines, carriage returns, NUL and bytes that are not UTF-8 unchanged', () => {
    expect(split([Buffer.from('\n\na\r\n\n')])).toEqual(['', '', 'a\r', ''])
    expect(split([Buffer.from([0x00, 0xff, 0xc3, 0x28, 0x0a])])).toEqual(['\u0000\u00ff\u00c3('])
    expect(split([])).toEqual([])
  })
})

test('RecentLines keeps the last 20 lines across children (O-36)', () => {
  const recent = new RecentLines()
  for (let child = 0; child < 3; child++) {
    const tap = new LineTap()
    recent.follow(tap)
    tap.push(Array.from({ length: 9 }, (_, line) => `${child}.${line}`).join('\n'))
  }
  expect(recent.lines).toHaveLength(20)
  expect([recent.lines[0], recent.lines.at(-1)]).toEqual(['0.7', '2.8'])
})

test('RecentLines leaves no listeners behind after restarts', () => {
  const listened = vi.spyOn(LineTap.prototype, 'listen')
  const recent = new RecentLines()
  for (let restart = 0; restart < 50; restart++) recent.follow(new LineTap())
  const signals = new Set(listened.mock.calls.map(([, signal]) => signal))
  const current = [...signals].filter((signal) => !signal.aborted)
  expect(current.flatMap((signal) => getEventListeners(signal, 'abort'))).toHaveLength(1)
  listened.mockRestore()
})

test('RecentLines drops its lines and stops listening at its end', () => {
  const recent = new RecentLines()
  const tap = new LineTap()
  recent.follow(tap)
  tap.push('one')
  recent.end()
  tap.push('two')
  expect(recent.lines).toEqual([])
})
