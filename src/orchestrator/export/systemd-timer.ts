import type { CronField, CronSchedule } from '../config/cron.ts'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const

/** Renders the values of OnCalendar=: two if either of two days may match, because systemd requires both. */
export function calendarEvents(schedule: CronSchedule): readonly string[] {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = schedule
  const time = [hour, minute, second].map(component).join(':')
  const onDay = dayOfWeek.values.map((day) => DAYS[day]).join(',')
  const onDate = `*-${component(month)}-${component(dayOfMonth)} ${time}`
  if (dayOfWeek.isAny) return [onDate]
  const onDays = `${onDay} *-${component(month)}-* ${time}`
  return dayOfMonth.isAny ? [onDays] : [onDays, onDate]
}

function component({ isAny, ranges }: CronField): string {
  if (isAny) return '*'
  return ranges
    .map(({ from, to, step }) => {
      const range = from === to ? String(from) : `${from}..${to}`
      return step === 1 || from === to ? range : `${range}/${step}`
    })
    .join(',')
}

/** Renders a timer that starts the service of the same name. */
export function timerUnit(name: string, project: string, schedule: CronSchedule): string {
  const lines = [
    '[Unit]',
    `Description=${name}`,
    `PartOf=${project}.target`,
    '',
    '[Timer]',
    ...calendarEvents(schedule).map((event) => `OnCalendar=${event}`),
    'AccuracySec=1s',
  ]
  return `${lines.join('\n')}\n`
}
