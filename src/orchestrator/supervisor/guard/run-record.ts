import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { startOf } from '../process-table.ts'
import { codeOf } from '../../config/errors.ts'

const runRecord = z.strictObject({
  pid: z.int().positive(),
  /** When the process started, as the kernel counts it: tells it from a later one with the same id. Null where unknown. */
  startTime: z.string().nullable(),
  /** What the variable of every child begins with. */
  mark: z.string().min(1),
  config: z.string(),
  /** Where it takes commands; null: it takes none. */
  socket: z.string().nullable(),
})

/** Who runs a configuration. */
export type RunRecord = z.infer<typeof runRecord>

/** Null if there is none, or none that can be read. */
export function readRecord(path: string): RunRecord | null {
  try {
    return runRecord.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

/** Never seen half-written. */
export function writeRecord(path: string, record: RunRecord): void {
  const aside = `${path}.${record.pid}`
  writeFileSync(aside, JSON.stringify(record), { mode: 0o600 })
  renameSync(aside, path)
}

export function removeRecord(path: string): void {
  rmSync(path, { force: true })
}

/** Whether the orchestrator of a record still runs. */
export function isRunning({ pid, startTime }: RunRecord): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false
  }
  return startTime === startOf(pid)
}
