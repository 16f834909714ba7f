import { getEventListeners } from 'node:events'
import { expect, test, vi } from 'vitest'
import { LineTap } from './line-tap.ts'
import { RecentLines } from './recent-lines.ts'

test('the last 20 lines are kept, over all children that were followed (O-36)', () => {
  const recent = new RecentLines()
  for (let child = 0; child < 3; child++) {
    const tap = new LineTap()
    recent.follow(tap)
    tap.push(Array.from({ length: 9 }, (_, line) => `${child}.${line}`).join('\n'))
  }
  expect(recent.lines).toHaveLength(20)
  expect([recent.lines[0], recent.lines.at(-1)]).toEqual(['0.7', '2.8'])
})

test('restarts leave no listeners behind: each child followed takes the place of the one before', () => {
  const listened = vi.spyOn(LineTap.prototype, 'listen')
  const recent = new RecentLines()
  for (let restart = 0; restart < 50; restart++) recent.follow(new LineTap())
  const signals = new Set(listened.mock.calls.map(([, signal]) => signal))
  const living = [...signals].filter((signal) => !signal.aborted)
  expect(living.flatMap((signal) => getEventListeners(signal, 'abort'))).toHaveLength(1)
  listened.mockRestore()
})

test('after its end nothing is kept, and nothing is listened to', () => {
  const recent = new RecentLines()
  const tap = new LineTap()
  recent.follow(tap)
  tap.push('one')
  recent.end()
  tap.push('two')
  expect(recent.lines).toEqual([])
})
