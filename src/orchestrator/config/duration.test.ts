import { describe, expect, it } from 'vitest'
import { durationForm, parseDuration, parseTime, timeForm } from './duration.ts'

describe('parseDuration (O-45)', () => {
  it.each([
    ['90s', 90_000],
    ['10m', 600_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['0.001s', 1],
    ['0s', 0],
  ])('%s is %d ms', (text, expected) => expect(parseDuration(text)).toBe(expected))

  it.each(['', '10', 's', '10 m', '10min', '-5s', '+5s', '5m1h', '1m2m', '1h30', '1,5h', '.5s', '10M', '1e3s', 'm10'])(
    '%j is not a duration',
    (text) => expect(parseDuration(text)).toBeNull(),
  )
})

describe('parseTime (O-45)', () => {
  const now = Date.parse('2026-03-01T12:00:00.000Z')

  it.each([
    ['10m', Date.parse('2026-03-01T11:50:00.000Z')],
    ['2d', Date.parse('2026-02-27T12:00:00.000Z')],
    ['2026-02-28T08:30:00Z', Date.parse('2026-02-28T08:30:00.000Z')],
    ['2026-02-28T08:30:00.25+01:00', Date.parse('2026-02-28T07:30:00.250Z')],
    ['2026-02-28T08:30', new Date(2026, 1, 28, 8, 30).getTime()],
    ['2026-02-28 08:30:05', new Date(2026, 1, 28, 8, 30, 5).getTime()],
    ['2026-02-28', new Date(2026, 1, 28).getTime()],
  ])('%s is the time %d', (text, expected) => expect(parseTime(text, now)).toBe(expected))

  it.each(['', 'yesterday', '10', '08:30', '2026-13-01', '2026-02-28T25:00', '2026', '2026-02-28T08:30:00 CET', '1'])(
    '%j is not a time',
    (text) => expect(parseTime(text, now)).toBeNull(),
  )
})

describe('the expectation in messages (O-45)', () => {
  it('has valid examples only', () => {
    const [durations = '', time = ''] = timeForm.split(', or a time such as ')
    expect(durations).toBe(durationForm)
    const examples = durationForm.replace('a duration such as ', '').split(/, | or /)
    expect(examples.map((example) => parseDuration(example))).toEqual([90_000, 600_000, 5_400_000, 172_800_000])
    expect(parseTime(time, 0)).not.toBeNull()
  })
})
