import { describe, expect, test } from 'vitest'
import { planReports, type ReportPlan } from './wait-reporter.ts'
import type { Wait } from './waits.ts'

const wait = (cause: string | null, over: Partial<Wait> = {}): Wait => ({
  cause,
  since: 0,
  text: '',
  waiters: [],
  everyMs: 10_000,
  ...over,
})

/** Returns the times of the reports about one wait, if it is checked at each of `times`. */
function reportsAt(times: readonly number[], waitsAt: (now: number) => readonly Wait[]): number[] {
  let plan: ReportPlan = new Map()
  return times.filter((now) => {
    const result = planReports(waitsAt(now), plan, now)
    plan = result.plan
    return result.due.length > 0
  })
}

describe('planReports (O-46)', () => {
  const seconds = Array.from({ length: 35 }, (_, index) => index * 1000)

  test('reports a wait after a second, and then every ten', () => {
    expect(reportsAt(seconds, () => [wait('db')])).toEqual([1000, 11_000, 21_000, 31_000])
  })

  test('reports a wait once if it has no interval', () => {
    expect(reportsAt(seconds, () => [wait('db', { everyMs: Infinity })])).toEqual([1000])
  })

  test('reports a wait that began again after a second', () => {
    const restartedAt5 = (now: number) => [wait('db', { since: now < 5000 ? 0 : 5000 })]
    expect(reportsAt(seconds.slice(0, 12), restartedAt5)).toEqual([1000, 6000])
  })

  test('forgets a wait that has ended', () => {
    const { plan } = planReports([], new Map([['db', { since: 0, at: 1 }]]), 5000)
    expect(plan.size).toBe(0)
  })

  test('plans each wait separately', () => {
    const { due, plan } = planReports([wait('db'), wait(null, { since: 500 })], new Map(), 1000)
    expect(due.map(({ cause }) => cause)).toEqual(['db'])
    expect([...plan.values()].map(({ at }) => at)).toEqual([11_000, 1500])
  })
})
