import { describe, expect, it } from 'vitest'
import { HISTORY_CHARACTERS, type LogEntry, LogHistory, type LogMessage } from './log-history.ts'

const message = (text: string, process: string | null = 'a'): Omit<LogMessage, 'time'> => ({
  process,
  level: 'info',
  message: text,
  event: null,
})
const texts = (entries: readonly LogEntry[]) => entries.map((entry) => ('line' in entry ? entry.line : entry.message))

describe('LogHistory (O-45)', () => {
  it('returns the lines and messages of the requested processes in the order of their arrival', () => {
    const history = new LogHistory()
    history.pushMessage(message('a started'))
    history.push('a', 1, 'stdout', 'one\ntwo')
    history.push('b', 2, 'stdout', 'other')
    history.push('a', 1, 'stderr', 'three')
    history.pushMessage(message('a exited'))
    history.pushMessage(message('stopping everything', null))
    history.push('a', 3, 'stdout', 'four')
    expect(texts(history.read(['a'], false))).toEqual(['a started', 'one', 'two', 'three', 'a exited', 'four'])
    expect(texts(history.read(['b', 'a'], true))).toEqual([
      'a started',
      'one',
      'two',
      'other',
      'three',
      'a exited',
      'stopping everything',
      'four',
    ])
    expect(history.read(['b'], false)).toEqual([
      { time: expect.any(Number), process: 'b', pid: 2, stream: 'stdout', line: 'other' },
    ])
  })

  it('calls a follower with new entries until it ends', () => {
    const history = new LogHistory()
    const seen: string[] = []
    const end = history.follow((entries) => seen.push(...texts(entries)))
    history.push('a', 1, 'stdout', 'one\nlÃ¤uft')
    history.pushMessage(message('a exited'))
    end()
    history.push('a', 1, 'stdout', 'later')
    expect(seen).toEqual(['one', 'läuft', 'a exited'])
  })

  it('drops the oldest lines beyond 256 KiB of a process and knows the time of the newest dropped line', () => {
    const history = new LogHistory()
    const before = Date.now()
    history.push('b', 2, 'stdout', 'small')
    for (let number = 0; number < 40; number++) history.push('a', 1, 'stdout', `${number}${'x'.repeat(16 * 1024)}`)
    const lines = texts(history.read(['a'], false))
    expect(lines.join('').length).toBeLessThan(HISTORY_CHARACTERS)
    expect(lines.map((line) => Number.parseInt(line, 10))).toEqual([
      25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
    ])
    expect(history.lostUntil('a')).toBeGreaterThanOrEqual(before)
    expect([history.lostUntil('b'), history.lostUntil('unknown')]).toEqual([null, null])
  })

  it('keeps at most 200 messages about a process, and no line is dropped for them', () => {
    const history = new LogHistory()
    history.push('a', 1, 'stdout', 'a line')
    for (let number = 1; number <= 1000; number++) history.pushMessage(message(`restart ${number}`))
    history.pushMessage(message('all ready', null))
    const kept = texts(history.read(['a'], true))
    expect([kept.length, kept[0], kept[1], kept.at(-1)]).toEqual([202, 'a line', 'restart 801', 'all ready'])
    expect(history.lostUntil('a')).toBeNull()
  })

  it('keeps at most 64 KiB of messages about a process, and always the newest one', () => {
    const history = new LogHistory()
    for (let number = 0; number < 20; number++) history.pushMessage(message(`${number} ${'x'.repeat(8000)}`))
    expect(texts(history.read(['a'], false)).map((text) => Number.parseInt(text, 10))).toEqual([
      12, 13, 14, 15, 16, 17, 18, 19,
    ])
    history.pushMessage(message('y'.repeat(100_000)))
    expect(texts(history.read(['a'], false))).toEqual(['y'.repeat(100_000)])
  })

  it('drops what it keeps about processes that a reload removes', () => {
    const history = new LogHistory()
    history.push('a', 1, 'stdout', 'a line')
    history.pushMessage(message('a started'))
    history.push('b', 2, 'stdout', 'another')
    history.retain(['b'])
    expect(texts(history.read(['a', 'b'], true))).toEqual(['another'])
  })
})
