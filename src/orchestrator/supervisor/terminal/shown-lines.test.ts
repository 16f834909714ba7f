import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ShownLines } from './shown-lines.ts'

describe('ShownLines', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function collect() {
    const recorded: string[] = []
    const shown: string[] = []
    const add = (to: string[]) => (lines: string) => to.push(...lines.split('\n'))
    const splitter = new ShownLines(add(recorded), add(shown))
    return { recorded, shown, end: () => splitter.end(), push: (text: string) => splitter.push(Buffer.from(text)) }
  }

  it('shows an unfinished line after a second, and does not record it', () => {
    const { recorded, shown, push } = collect()
    push('one\nContinue? ')
    vi.advanceTimersByTime(999)
    expect(shown).toEqual(['one'])
    vi.advanceTimersByTime(1)
    expect(shown).toEqual(['one', 'Continue? '])
    expect(recorded).toEqual(['one'])
  })

  it.each([
    ['the rest of the line', 'yes\nnext\n', ['Continue? ', 'Continue? yes', 'next']],
    ['the newline alone', '\nnext\n', ['Continue? ', 'next']],
    ['the newline alone in a chunk', '\n', ['Continue? ']],
    ['a rewritten line', '\rDone\n', ['Continue? ', 'Continue? \rDone']],
  ])('shows and records whole lines after a snapshot: %s', (_case, rest, expected) => {
    const { recorded, shown, push } = collect()
    push('Continue? ')
    vi.advanceTimersByTime(1000)
    push(rest)
    expect(shown).toEqual(expected)
    expect(`${recorded.join('\n')}\n`).toBe(`Continue? ${rest}`)
  })

  it('shows a progress bar every ten seconds if it changes', () => {
    const { shown, push } = collect()
    push('\rbuilding 1%')
    vi.advanceTimersByTime(1000)
    push('\rbuilding 50%')
    push('\rbuilding 60%')
    vi.advanceTimersByTime(9999)
    expect(shown).toEqual(['building 1%'])
    vi.advanceTimersByTime(10_001)
    expect(shown).toEqual(['building 1%', 'building 60%'])
  })

  it('shows no part of a line while lines end within a second', () => {
    const { shown, push } = collect()
    for (let count = 0; count < 20; count++) {
      push('begin')
      vi.advanceTimersByTime(500)
      push('-end\n')
    }
    expect(new Set(shown)).toEqual(new Set(['begin-end']))
  })

  it('shows a last line without a newline at the end once, and nothing later', () => {
    const { recorded, shown, push, end } = collect()
    push('last')
    vi.advanceTimersByTime(1000)
    end()
    vi.advanceTimersByTime(60_000)
    expect([shown, recorded]).toEqual([['last'], ['last']])
    expect(vi.getTimerCount()).toBe(0)
  })
})
