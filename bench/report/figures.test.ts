import { describe, expect, it } from 'vitest'
import { compare, type Figure, isMet, median, quantile, tableOf } from './figures.ts'

const figure: Figure = {
  id: 'M-1',
  what: 'work',
  unit: 'ms',
  ours: 150,
  beside: { name: 'bare', value: 100, ratio: 1.5 },
  goal: { type: 'none' },
  peers: new Map<string, number | string>([
    ['slow', 1234.5],
    ['gone', 'not installed'],
  ]),
}

describe('median', () => {
  it('returns the middle value, or the mean of the two middle values', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })
})

describe('quantile', () => {
  it('returns one of the values', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect([0, 0.5, 0.99, 1].map((part) => quantile(hundred, part))).toEqual([1, 51, 100, 100])
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('compare', () => {
  it('returns the median of the ratios, not the ratio of the medians', () => {
    expect(compare('bare', [10, 40, 90], [10, 20, 100])).toEqual({ name: 'bare', value: 20, ratio: 1 })
  })
})

describe('isMet', () => {
  it('compares the ratio, the difference or the figure with the goal', () => {
    expect(isMet({ ...figure, goal: { type: 'ratio', atMost: 1.5 } })).toBe(true)
    expect(isMet({ ...figure, goal: { type: 'ratio', atMost: 1.4 } })).toBe(false)
    expect(isMet({ ...figure, goal: { type: 'difference', atMost: 50 } })).toBe(true)
    expect(isMet({ ...figure, goal: { type: 'difference', atMost: 49 } })).toBe(false)
    expect(isMet({ ...figure, goal: { type: 'value', atMost: 149 } })).toBe(false)
    expect(isMet(figure)).toBe(null)
  })

  it('returns false for a missing figure', () => {
    expect(isMet({ ...figure, ours: NaN, goal: { type: 'value', atMost: 1000 } })).toBe(false)
  })
})

describe('tableOf', () => {
  it('adds a column for each peer', () => {
    const rows = tableOf([{ ...figure, goal: { type: 'ratio', atMost: 1.25 } }])
    expect(rows).toEqual([
      ['', 'work', 'ours', 'beside', 'ratio', 'goal', 'goal met', 'slow', 'gone'],
      ['M-1', 'work', '150 ms', 'bare 100 ms', '1.5 ×', '≤ 1.25 ×', 'no', '1,235 ms', 'not installed'],
    ])
  })
})
