import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CUT_MARK, encodeUtf8, MAX_LINE_BYTES } from '../output/lines.ts'
import { TerminalLines, visibleLine, withoutScreenSequences } from './terminal-lines.ts'

describe('visibleLine', () => {
  it.each([
    ['plain text', 'plain text', 'plain text'],
    ['the carriage return of a newline', 'text\r', 'text'],
    ['two carriage returns before a newline', 'text\r\r', 'text'],
    ['the last state of a progress bar', '10 %\r50 %\r100 %\r', '100 %'],
    ['a return of the cursor to column 1', '10 %\u001b[1G50 %\u001b[G100 %', '100 %'],
    ['nothing after an erased line', 'working\r\u001b[K', ''],
    ['nothing after an erased line without a return', 'working\u001b[2K', ''],
    ['a text that is written after an erased line', 'working\r\u001b[2Kdone', 'done'],
    ['an erased rest of the line', 'done\u001b[K', 'done'],
    ['colours', '\u001b[32mok\u001b[39m', '\u001b[32mok\u001b[39m'],
    ['a colour before a rewrite', '\u001b[32m1\r\u001b[32m2\u001b[0m', '\u001b[32m2\u001b[0m'],
    ['a backspace', 'ab\bc', 'ac'],
    ['a backspace over a character of several bytes', encodeUtf8('aä\bc'), 'ac'],
    ['no moves of the cursor', '\u001b[2A\u001b[10;20Hup\u001b[?25l', 'up'],
    ['no window title', '\u001b]0;title\u0007text', 'text'],
    ['no bell', 'a\u0007b', 'ab'],
    ['tabs', 'a\tb', 'a\tb'],
    ['characters of several bytes', encodeUtf8('größer → ✓'), encodeUtf8('größer → ✓')],
    ['nothing but colours', '\u001b[32m\u001b[0m', ''],
  ])('shows %s', (_, line, expected) => {
    expect(visibleLine(line)).toBe(expected)
  })
})

describe('withoutScreenSequences', () => {
  const link = '\u001b]8;;https://example.com\u0007here'
  it.each([
    ['plain text and other control characters', 'a\tb\b\u0007\r', 'a\tb\b\u0007\r'],
    ['colours, which end with the line', '\u001b[1;38:5:9mred', '\u001b[1;38:5:9mred\u001b[0m'],
    ['a hyperlink', `${link}\u001b]8;;\u0007.`, `${link}\u001b]8;;\u0007.`],
    ['a hyperlink, which ends with the line', link, `${link}\u001b]8;;\u001b\\`],
    ['no clear of the screen', '\u001b[2J\u001b[3J\u001b[Hnew', 'new'],
    ['no reset of the terminal', '\u001bcnew', 'new'],
    ['no moves of the cursor and no other screen', '\u001b[2A\u001b[10;20Hup\u001b[?25l\u001b[?1049h', 'up'],
    ['no window title', '\u001b]0;title\u0007text', 'text'],
    ['no access to the clipboard', '\u001b]52;c;YQ==\u001b\\text', 'text'],
    ['no report of modified keys', '\u001b[>4;1mtext', 'text'],
    ['no other character set', '\u001b(0text', 'text'],
    ['no unfinished sequence', 'text\u001b]8;;https://example.com', 'text'],
    ['no escape at the end', 'text\u001b', 'text'],
    ['a return of the cursor to column 1', '10 %\u001b[1G50 %\u001b[G100 %', '10 %\r50 %\r100 %'],
    ['characters of several bytes', encodeUtf8('\u001b[2Jgrößer → ✓'), encodeUtf8('größer → ✓')],
  ])('shows %s', (_, line, expected) => {
    expect(withoutScreenSequences(line)).toBe(expected)
  })
})

describe('TerminalLines', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function collect() {
    const lines: string[] = []
    const splitter = new TerminalLines((text) => lines.push(...text.split('\n')))
    return { lines, end: () => splitter.end(), push: (text: string) => splitter.push(Buffer.from(text, 'latin1')) }
  }

  it('joins chunks into lines, and keeps empty lines', () => {
    const { lines, push } = collect()
    push('one\r\ntw')
    push('o\r')
    push('\n\r\nthree\r\n')
    expect(lines).toEqual(['one', 'two', '', 'three'])
  })

  it('shows an unfinished line after a second, and again only if it has changed', () => {
    const { lines, push } = collect()
    push('Name: ')
    vi.advanceTimersByTime(999)
    expect(lines).toEqual([])
    vi.advanceTimersByTime(1)
    expect(lines).toEqual(['Name: '])
    vi.advanceTimersByTime(60_000)
    expect(lines).toEqual(['Name: '])
    push('bob\r\n')
    expect(lines).toEqual(['Name: ', 'Name: bob'])
  })

  it('does not repeat a line that was shown before it was finished', () => {
    const { lines, push } = collect()
    push('100 %')
    vi.advanceTimersByTime(1000)
    push('\r\nnext\r\n')
    expect(lines).toEqual(['100 %', 'next'])
  })

  it('shows a progress bar at most every ten seconds', () => {
    const { lines, push } = collect()
    for (let second = 0; second < 25; second++) {
      push(`\r${second} s`)
      vi.advanceTimersByTime(1000)
    }
    expect(lines).toEqual(['0 s', '10 s', '20 s'])
  })

  it('shows the last line at the end, and nothing later', () => {
    const { lines, push, end } = collect()
    push('last')
    end()
    vi.advanceTimersByTime(60_000)
    expect(lines).toEqual(['last'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keeps only the last state of a long unfinished line that is rewritten', () => {
    const { lines, push } = collect()
    const frame = `\r${'#'.repeat(1000)}`
    for (let count = 0; count < 1000; count++) push(frame)
    push('\r\n')
    expect(lines).toEqual(['#'.repeat(1000)])
  })

  it('cuts a long line into marked pieces', () => {
    const { lines, push } = collect()
    push('a'.repeat(MAX_LINE_BYTES + 10))
    push('b\r\n')
    const cut = MAX_LINE_BYTES - CUT_MARK.length
    expect(lines).toEqual([`${'a'.repeat(cut)}${CUT_MARK}`, `${'a'.repeat(12)}b`])
  })
})
