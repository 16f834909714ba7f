import { Cron } from 'croner'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCron, renderCron } from './cron.ts'

const EXPRESSIONS = [
  '* * * * *',
  '* * * * * *',
  '*/5 * * * *',
  '0 3 * * *',
  '30 4 1,15 * 5',
  '0 0 1 JAN *',
  '0 9-17/2 * * MON-FRI',
  '15 10 * * 7',
  '5/20 0 ? * sun,sat',
  '0 0 29 2 *',
  '10 0 0 31 */2 *',
  '@daily',
  '@Hourly',
]

function rendered(expression: string): string {
  const schedule = parseCron(expression)
  if (typeof schedule === 'string') throw new Error(schedule)
  return renderCron(schedule, { seconds: true })
}

it('is rendered with numbers, with or without seconds', () => {
  const schedule = parseCron('*/20 0 9-17/4 ? JAN FRI,7')
  if (typeof schedule === 'string') throw new Error(schedule)
  expect(renderCron(schedule, { seconds: true })).toBe('0,20,40 0 9,13,17 * 1 0,5')
  expect(renderCron(schedule, { seconds: false })).toBe('0 9,13,17 * 1 0,5')
})

describe('a cron expression', () => {
  it.each(EXPRESSIONS)('%s is valid', (expression) => {
    expect(new Cron(rendered(expression), { mode: '6-part' }).nextRun()).toBeInstanceOf(Date)
  })

  it.each([
    ['60 * * * *', 'the minute "60" is not 0 to 59, a range such as 0-59, or a step such as */2'],
    ['* 24 * * *', 'the hour "24" is not 0 to 23, a range such as 0-23, or a step such as */2'],
    ['* * 0 * *', 'the day of the month "0" is not 1 to 31, a range such as 1-31, or a step such as */2'],
    ['* * * FOO *', 'the month "FOO" is not 1 to 12 or JAN to DEC, a range such as 1-12, or a step such as */2'],
    [
      '* * * * MON-SUN',
      'the day of the week "MON-SUN" is not 0 to 7 or SUN to SAT, a range such as 0-7, or a step such as */2',
    ],
    ['*/0 * * * *', 'the minute "*/0" is not 0 to 59, a range such as 0-59, or a step such as */2'],
    ['5-1 * * * *', 'the minute "5-1" is not 0 to 59, a range such as 0-59, or a step such as */2'],
    ['1,,2 * * * *', 'the minute "" is not 0 to 59, a range such as 0-59, or a step such as */2'],
    ['0 0 L * *', 'the day of the month "L" is not 1 to 31, a range such as 1-31, or a step such as */2'],
    ['0 0 30 2 *', 'no month has this day'],
    ['0 0 31 4,6 *', 'no month has this day'],
    ['* * * *', 'it has 4 of 5 or 6 fields'],
    ['0 0 1 1 1 * 2030', 'it has 7 of 5 or 6 fields'],
    ['', 'it has 1 of 5 or 6 fields'],
    ['every day', 'it has 2 of 5 or 6 fields'],
    ['@reboot', '"@reboot" is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly'],
  ])('%j is refused: %s', (expression, problem) => {
    expect(parseCron(expression)).toBe(problem)
  })

  it('has the values that the scheduler uses', () => {
    const field = (min: number, max: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min, max }).map(String),
        fc.integer({ min: 1, max: 30 }).map((step) => `*/${step}`),
        fc
          .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      )
    const expressions = fc.tuple(field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7))
    fc.assert(
      fc.property(
        expressions,
        fc.date({ min: new Date(2025, 0), max: new Date(2030, 0), noInvalidDate: true }),
        (fields, from) => {
          const schedule = parseCron(fields.join(' '))
          const next = new Cron(rendered(fields.join(' ')), { mode: '6-part' }).nextRun(from)
          if (typeof schedule === 'string' || next === null) throw new Error('the expression was refused')
          const { second, minute, hour, dayOfMonth, month, dayOfWeek } = schedule
          expect(second.values).toContain(next.getSeconds())
          expect(minute.values).toContain(next.getMinutes())
          expect(hour.values).toContain(next.getHours())
          expect(month.values).toContain(next.getMonth() + 1)
          const [isDate, isDay] = [dayOfMonth.values.includes(next.getDate()), dayOfWeek.values.includes(next.getDay())]
          expect(dayOfMonth.isAny || dayOfWeek.isAny ? isDate && isDay : isDate || isDay).toBe(true)
        },
      ),
    )
  })
})
