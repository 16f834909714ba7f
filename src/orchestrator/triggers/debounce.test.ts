import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Debounce } from './debounce.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function record(): { readonly bursts: (readonly string[])[]; readonly debounce: Debounce } {
  const bursts: (readonly string[])[] = []
  return { bursts, debounce: new Debounce(200, (paths) => bursts.push(paths)) }
}

test('a burst is passed on once, when no change has followed for the time', () => {
  const { bursts, debounce } = record()
  debounce.add('a')
  vi.advanceTimersByTime(199)
  debounce.add('b')
  debounce.add('a')
  vi.advanceTimersByTime(199)
  expect(bursts).toEqual([])
  vi.advanceTimersByTime(1)
  expect(bursts).toEqual([['a', 'b']])
  vi.advanceTimersByTime(10_000)
  expect(bursts).toHaveLength(1)
})

test('a change after a burst begins another one', () => {
  const { bursts, debounce } = record()
  debounce.add('a')
  vi.advanceTimersByTime(200)
  debounce.add('b')
  vi.advanceTimersByTime(200)
  expect(bursts).toEqual([['a'], ['b']])
})

test('nothing is passed on after it was cleared', () => {
  const { bursts, debounce } = record()
  debounce.add('a')
  debounce.clear()
  vi.advanceTimersByTime(10_000)
  expect(bursts).toEqual([])
})

test('a burst of more than 1,000 paths is bounded', () => {
  const { bursts, debounce } = record()
  for (let number = 0; number < 5000; number++) debounce.add(`file ${number}`)
  vi.advanceTimersByTime(200)
  expect(bursts[0]).toHaveLength(1000)
})
