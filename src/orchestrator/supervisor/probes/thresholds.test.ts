import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { afterResult, NOT_PROBED } from './thresholds.ts'

const standingsAfter = (results: readonly boolean[], successThreshold: number, failureThreshold: number) => {
  let standing = NOT_PROBED
  return results.map(
    (succeeded) => (standing = afterResult(standing, succeeded, { successThreshold, failureThreshold })),
  )
}

test('ready after so many successes in a row, not ready after so many failures in a row', () => {
  const results = [true, false, true, true, false, false, true, false, false, false, true]
  const ready = standingsAfter(results, 2, 3).map((standing) => standing.ready)
  expect(ready).toEqual([false, false, false, true, true, true, true, true, true, false, false])
})

test('it changes only when the last results, as many as the threshold says, are all alike', () => {
  const threshold = fc.integer({ min: 1, max: 4 })
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), threshold, threshold, (results, up, down) => {
      const standings = standingsAfter(results, up, down)
      standings.forEach((standing, index) => {
        const before = standings[index - 1] ?? NOT_PROBED
        if (standing.ready === before.ready) return
        const lastOnes = results.slice(0, index + 1).slice(standing.ready ? -up : -down)
        expect(lastOnes).toEqual(Array.from({ length: standing.ready ? up : down }, () => standing.ready))
      })
    }),
  )
})

test('that it was ready once is never forgotten', () => {
  const last = standingsAfter([true, false, false], 1, 1).at(-1)
  expect(last).toMatchObject({ ready: false, everReady: true })
})
