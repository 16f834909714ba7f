import { describe, expect, it } from 'vitest'
import { parseCpuTime, parseLine } from './ps.ts'

describe('parseLine (O-37)', () => {
  it('parses a line of Linux', () => {
    const line = '   4711      1   4711 Ssl+ 1-02:03:04  12345 Thu Nov 26 21:10:20 2026 postgres'
    expect(parseLine(line)).toEqual({
      pid: 4711,
      parent: 1,
      group: 4711,
      status: 'S',
      isInForeground: true,
      start: 'Thu Nov 26 21:10:20 2026',
      cpuMs: 93_784_000,
      memoryBytes: 12_641_280,
      program: 'postgres',
    })
  })

  it('parses a line of macOS, with the path of a program that contains a space', () => {
    const line =
      '  512   500   512 Z     0:01.25   2048 Thu Nov  5 01:02:03 2026     /Applications/My App.app/Contents/MacOS/My App'
    expect(parseLine(line)).toMatchObject({
      status: 'Z',
      isInForeground: false,
      start: 'Thu Nov 5 01:02:03 2026',
      cpuMs: 1250,
      program: 'My App',
    })
  })

  it.each(['', '  PID  PPID', 'ps: illegal option'])('ignores the line %j', (line) => {
    expect(parseLine(line)).toBeNull()
  })
})

describe('parseCpuTime (O-41)', () => {
  it.each([
    ['00:00:00', 0],
    ['00:01:02', 62_000],
    ['1-00:00:00', 86_400_000],
    ['0:00.05', 50],
    ['123:04.56', 7_384_560],
  ])('parses %s to %d ms', (text, ms) => expect(parseCpuTime(text)).toBe(ms))
})
