import { expect, test } from 'vitest'
import { parseTime } from '../../config/duration.ts'
import { dateAndTime, localTime, timeOfDay } from './local-time.ts'

const TIME = new Date(2026, 0, 31, 8, 30, 0, 123)

test('a local time is one that --since accepts', () => {
  expect(localTime(TIME.getTime())).toMatch(/^2026-01-31T08:30:00\.123[+-]\d\d:\d\d$/)
  expect(parseTime(localTime(TIME.getTime()), 0)).toBe(TIME.getTime())
})

test('times of day have milliseconds, dates and times have seconds', () => {
  expect(timeOfDay(TIME.getTime())).toBe('08:30:00.123')
  expect(dateAndTime(TIME)).toBe('2026-01-31 08:30:00')
})
