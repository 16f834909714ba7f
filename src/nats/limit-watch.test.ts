import { expect, test } from 'vitest'
import { LimitWatch } from './limit-watch.ts'

test('B-15 the watch of a limit reports 80 % once, and again after the share fell below 70 %', () => {
  const watch = new LimitWatch()
  const shares = [0.79, 0.8, 0.95, 0.75, 0.85, 0.69, 0.79, 0.81]
  expect(shares.filter((share) => watch.reaches(share))).toEqual([0.8, 0.81])
})
