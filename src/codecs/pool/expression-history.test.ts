import { describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from './evaluation-scheduler.ts'
import { ExpressionHistory } from './expression-history.ts'

const NOW = 1_000_000

/** Returns the history after evaluations of these durations in ms, all at the same time. */
function after(...durations: readonly number[]): ExpressionHistory {
  const history = new ExpressionHistory(DEFAULT_LIMITS)
  for (const ms of durations) history.recordDuration(ms, NOW)
  return history
}

describe('B-1: the history of an expression', () => {
  it.each([
    ['a new expression', [], Infinity],
    ['a quick one', [10], 0],
    ['one slow evaluation', [12], 1200],
    ['a slow evaluation followed by quick ones', [200, 1, 1, 1], 20_000],
    ['several slow evaluations', [200, 100], 30_000],
    ['very slow evaluations, at most', [5000, 5000], 600_000],
  ])('is slow for a hundred times the time of slow evaluations: %s', (_, durations, slowMs) => {
    const history = after(...durations)
    expect(history.isQuick(NOW + slowMs - 1)).toBe(slowMs === 0)
    expect(history.isQuick(NOW + slowMs)).toBe(slowMs !== Infinity)
  })

  it.each([
    [[], 0.1],
    [[20], 0.1],
    [[20, 30], 20],
    [[20, 30, 1], 1],
    [[0.01, 0.01, 200, 0.01], 0.01],
  ])('after %j expects the smaller one of the last two durations, %d ms', (durations, expectedMs) => {
    expect(after(...durations).expectedMs).toBe(expectedMs)
  })

  it('is slow after a loss of its worker, whatever the time limit', () => {
    const history = new ExpressionHistory({ ...DEFAULT_LIMITS, timeLimitMs: 5 })
    history.recordLoss(NOW)
    expect(history.isQuick(NOW + 499)).toBe(false)
    expect(history.isQuick(NOW + 500)).toBe(true)
  })
})
