import type { Cron } from 'croner'
import { parseCron, renderCron } from '../config/cron.ts'

/** Calls `onTime` at the times of a valid cron expression, in local time, until the signal is aborted. */
export async function runOnSchedule(expression: string, onTime: () => void, signal: AbortSignal): Promise<Cron> {
  const schedule = parseCron(expression)
  if (typeof schedule === 'string') throw new Error(`invalid schedule "${expression}": ${schedule}`)
  // Loaded late, because most configurations have no schedule.
  const { Cron } = await import('croner')
  const job = new Cron(renderCron(schedule, { seconds: true }), { mode: '6-part' }, onTime)
  if (signal.aborted) job.stop()
  else signal.addEventListener('abort', () => job.stop())
  return job
}
