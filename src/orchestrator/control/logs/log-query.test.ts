import { describe, expect, it } from 'vitest'
import type { LogEntry } from '../../supervisor/output/log-history.ts'
import { countWithoutLevel, lastEntries, type LogFilter, parseLogQuery, passes } from './log-query.ts'

const NOW = Date.parse('2026-03-01T12:00:00.000Z')
const parse = (query: string) => parseLogQuery(new URLSearchParams(query), NOW)
const noFilter: LogFilter = { since: null, until: null, level: null, stream: null, events: true }

describe('parseLogQuery (O-45)', () => {
  it('has defaults', () => {
    expect(parse('')).toEqual({ names: [], filter: noFilter, grep: null, tail: 100, follow: false, quiet: true })
  })

  it('reads every parameter', () => {
    const query =
      'process=a&process=b&since=10m&until=2026-03-01T11:59:00Z&level=warn&stream=stderr&grep=a.b&ignore_case=1&tail=5'
    expect(parse(`${query}&follow=1&events=0`)).toEqual({
      names: ['a', 'b'],
      filter: { since: NOW - 600_000, until: NOW - 60_000, level: 'warn', stream: 'stderr', events: false },
      grep: /a.b/i,
      tail: 5,
      follow: true,
      quiet: true,
    })
  })

  it.each([
    ['since=10m', Infinity],
    ['until=10m', Infinity],
    ['level=warn', Infinity],
    ['stream=stdout', Infinity],
    ['grep=x', Infinity],
    ['grep=x&tail=3', 3],
    ['events=0', 100],
    ['tail=all', Infinity],
    ['tail=0', 0],
  ])('%s selects %d lines of each process', (query, tail) => expect(parse(query).tail).toBe(tail))

  it.each([
    ['since=10', 'since: expected a duration such as 90s, 10m, 1h30m or 2d, or a time such as 2026-01-31T08:30:00'],
    ['until=soon', 'until: expected a duration such as 90s, 10m, 1h30m or 2d, or a time such as 2026-01-31T08:30:00'],
    ['tail=-1', 'tail: expected a whole number of 0 or more, or all'],
    ['tail=1.5', 'tail: expected a whole number of 0 or more, or all'],
    ['level=loud', 'level: expected one of trace, debug, info, warn, error, fatal'],
    ['stream=stdin', 'stream: expected one of stdout, stderr'],
    ['grep=(', 'grep: Invalid regular expression: /(/: Unterminated group'],
  ])('rejects %s', (query, message) => expect(() => parse(query)).toThrow(message))
})

const line = (text: string, time = 0, process = 'a'): LogEntry => ({
  time,
  process,
  pid: 1,
  stream: 'stdout',
  line: text,
})
const message = (text: string, process: string | null = 'a'): LogEntry => ({
  time: 0,
  process,
  level: 'info',
  message: text,
  event: null,
})

describe('passes (O-45)', () => {
  it.each<[Partial<LogFilter>, LogEntry, boolean]>([
    [{}, line('x'), true],
    [{ since: 5 }, line('x', 4), false],
    [{ since: 5 }, line('x', 5), true],
    [{ until: 5 }, line('x', 5), true],
    [{ until: 5 }, line('x', 6), false],
    [{ level: 'warn' }, line('no level'), false],
    [{ level: 'warn' }, line('{"level":30}'), false],
    [{ level: 'warn' }, line('{"level":40}'), true],
    [{ level: 'warn' }, line('level=error'), true],
    [{ level: 'info' }, message('started'), true],
    [{ level: 'warn' }, message('started'), false],
    [{ stream: 'stdout' }, line('x'), true],
    [{ stream: 'stderr' }, line('x'), false],
    [{ stream: 'stdout' }, message('started'), false],
    [{ stream: 'stderr' }, message('started'), true],
    [{ events: false }, message('started'), false],
    [{ events: false }, line('x'), true],
    [{ since: 1 }, message('started'), false],
  ])('with %j, of %j: %s', (filter, entry, expected) =>
    expect(passes({ ...noFilter, ...filter }, entry)).toBe(expected),
  )
})

describe('countWithoutLevel (O-45)', () => {
  const plain = [line('x', 1), line('y', 2), message('started')]
  it.each<[Partial<LogFilter>, readonly LogEntry[], number]>([
    [{}, plain, 0],
    [{ level: 'warn' }, plain, 2],
    [{ level: 'warn', since: 2 }, plain, 1],
    [{ level: 'warn', stream: 'stderr' }, plain, 0],
    [{ level: 'warn' }, [...plain, line('level=info')], 2],
    [{ level: 'warn' }, [...plain, line('level=warn')], 0],
  ])('with %j, of %j: %d', (filter, entries, expected) =>
    expect(countWithoutLevel({ ...noFilter, ...filter }, entries)).toBe(expected),
  )
})

describe('lastEntries (O-45)', () => {
  const entries = [
    message('a started'),
    line('a1'),
    line('b1', 0, 'b'),
    line('a2'),
    message('a exited'),
    message('a restarts'),
    message('a started again'),
    message('all are ready', null),
    line('a3'),
  ]
  const texts = (count: number) =>
    lastEntries(entries, count).map((entry) => ('line' in entry ? entry.line : entry.message))

  it.each<[number, readonly string[]]>([
    [0, []],
    [1, ['b1', 'all are ready', 'a3']],
    [2, ['b1', 'a2', 'a restarts', 'a started again', 'all are ready', 'a3']],
    [3, ['a1', 'b1', 'a2', 'a exited', 'a restarts', 'a started again', 'all are ready', 'a3']],
    [4, ['a started', 'a1', 'b1', 'a2', 'a exited', 'a restarts', 'a started again', 'all are ready', 'a3']],
    [Infinity, ['a started', 'a1', 'b1', 'a2', 'a exited', 'a restarts', 'a started again', 'all are ready', 'a3']],
  ])('keeps the last %d lines of each process with the messages after the first of them', (count, expected) => {
    expect(texts(count)).toEqual(expected)
  })
})
