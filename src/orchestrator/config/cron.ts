/** Values of one field of a schedule. */
export interface CronField {
  /** True for `*` or `?`. */
  readonly isAny: boolean
  /** The parts of its list. */
  readonly ranges: readonly CronRange[]
  /** All values, ascending. Sunday is 0. */
  readonly values: readonly number[]
}

export interface CronRange {
  readonly from: number
  readonly to: number
  readonly step: number
}

/** A schedule in local time. If both days are restricted, it matches when either does. */
export interface CronSchedule {
  /** 0 if the expression has 5 fields. */
  readonly second: CronField
  readonly minute: CronField
  readonly hour: CronField
  readonly dayOfMonth: CronField
  readonly month: CronField
  readonly dayOfWeek: CronField
}

interface FieldForm {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Names of the values from `min` on. */
  readonly names: readonly string[]
}

const FORMS = {
  second: { name: 'second', min: 0, max: 59, names: [] },
  minute: { name: 'minute', min: 0, max: 59, names: [] },
  hour: { name: 'hour', min: 0, max: 23, names: [] },
  dayOfMonth: { name: 'day of the month', min: 1, max: 31, names: [] },
  month: {
    name: 'month',
    min: 1,
    max: 12,
    names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
  },
  // 7 is Sunday too.
  dayOfWeek: { name: 'day of the week', min: 0, max: 7, names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] },
} as const satisfies Readonly<Record<keyof CronSchedule, FieldForm>>

const NICKNAMES: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/** The second number of Sunday. */
const SUNDAY = 7

const LONGEST_MONTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Parses a cron expression of 5 or 6 fields, or a nickname such as `@daily`. Returns the problem as a text if it is invalid. */
export function parseCron(expression: string): CronSchedule | string {
  const text = NICKNAMES[expression.trim().toLowerCase()] ?? expression.trim()
  if (text.startsWith('@')) return `"${text}" is none of ${Object.keys(NICKNAMES).join(', ')}`
  const fields = text.split(/\s+/)
  if (fields.length !== 5 && fields.length !== 6) return `it has ${fields.length} of 5 or 6 fields`
  const [second = '', minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] =
    fields.length === 5 ? ['0', ...fields] : fields
  const problems: string[] = []
  const field = (source: string, form: FieldForm): CronField => {
    const parsed = parseField(source, form)
    if (typeof parsed !== 'string') return parsed
    problems.push(parsed)
    return { isAny: true, ranges: [], values: [] }
  }
  const schedule: CronSchedule = {
    second: field(second, FORMS.second),
    minute: field(minute, FORMS.minute),
    hour: field(hour, FORMS.hour),
    dayOfMonth: field(dayOfMonth, FORMS.dayOfMonth),
    month: field(month, FORMS.month),
    dayOfWeek: field(dayOfWeek, FORMS.dayOfWeek),
  }
  return problems[0] ?? (isPossible(schedule) ? schedule : 'no month has this day')
}

function parseField(source: string, form: FieldForm): CronField | string {
  if (source === '*' || source === '?') {
    return fieldOf([{ from: form.min, to: lastOf(form), step: 1 }], true)
  }
  const ranges: CronRange[] = []
  for (const part of source.split(',')) {
    const range = parseRange(part, form)
    if (range === null) return `the ${form.name} "${part}" is not ${describeForm(form)}`
    ranges.push(range)
  }
  const field = fieldOf(ranges, false)
  if (form.max !== SUNDAY) return field
  const values = [...new Set(field.values.map((value) => value % SUNDAY))].toSorted((a, b) => a - b)
  return { ...field, values }
}

function parseRange(part: string, form: FieldForm): CronRange | null {
  const [, first = '', last, step] = /^(\*|\w+)(?:-(\w+))?(?:\/([1-9]\d{0,2}))?$/.exec(part) ?? []
  if (first === '*') {
    return last === undefined ? { from: form.min, to: lastOf(form), step: Number(step ?? 1) } : null
  }
  const from = parseValue(first, form)
  const single = step === undefined ? from : lastOf(form)
  const to = last === undefined ? single : parseValue(last, form)
  return from === null || to === null || from > to ? null : { from, to, step: Number(step ?? 1) }
}

/** Returns the last value of a field, which ends a step without an end; 7 would be Sunday again. */
function lastOf({ max }: FieldForm): number {
  return max === SUNDAY ? max - 1 : max
}

function parseValue(text: string, { min, max, names }: FieldForm): number | null {
  const named = names.indexOf(text.toUpperCase())
  if (named !== -1) return min + named
  const value = /^\d{1,2}$/.test(text) ? Number(text) : -1
  return value >= min && value <= max ? value : null
}

function describeForm({ min, max, names: [first = '', ...others] }: FieldForm): string {
  const named = first === '' ? '' : ` or ${first} to ${others.at(-1)}`
  return `${min} to ${max}${named}, a range such as ${min}-${max}, or a step such as */2`
}

function fieldOf(ranges: readonly CronRange[], isAny: boolean): CronField {
  const all = ranges.flatMap(({ from, to, step }) =>
    Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step),
  )
  return { isAny, ranges, values: [...new Set(all)].toSorted((a, b) => a - b) }
}

function isPossible({ dayOfMonth, month, dayOfWeek }: CronSchedule): boolean {
  const [first = 1] = dayOfMonth.values
  return !dayOfWeek.isAny || month.values.some((number) => (LONGEST_MONTHS[number - 1] ?? 0) >= first)
}

/** Renders a schedule with lists of numbers only, which every implementation of cron reads; `seconds` adds the first field. */
export function renderCron(schedule: CronSchedule, { seconds }: { readonly seconds: boolean }): string {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = schedule
  const fields = [...(seconds ? [second] : []), minute, hour, dayOfMonth, month, dayOfWeek]
  return fields.map(({ isAny, values }) => (isAny ? '*' : values.join(','))).join(' ')
}
