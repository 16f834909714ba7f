import { fileURLToPath } from 'node:url'
import { messageOf, UserError } from '../../config/errors.ts'
import { loadConfig } from '../../config/load.ts'
import type { StopDefinition } from '../../supervisor/guard/orphaned-run.ts'
import { existingRunFolder, orphansOf, readRecord } from '../../supervisor/guard/run-folder.ts'
import { RunLock } from '../../supervisor/guard/run-lock.ts'
import { type FileOptions, toLoadOptions } from '../options.ts'

/**
 * Stops the processes of a killed orchestrator, as its next start would, and prints the result. Returns false if it has left none.
 * Throws a UserError if some of them cannot be stopped.
 */
export async function stopKilledRun(file: FileOptions): Promise<boolean> {
  const folder = existingRunFolder(file.config, process.env)
  const record = readRecord(folder.recordPath)
  if (record === null || orphansOf(record).length === 0) return false
  const warn = (message: string) => void process.stderr.write(`ponix-orchestrator: ${message}\n`)
  const definitions = definitionsIn(file)
  const [order, reason] =
    typeof definitions === 'string' ? ['all at the same time', `: ${definitions}`] : ['dependents first', '']
  warn(`the orchestrator (pid ${record.pid}) was killed; stopping the processes that it has left, ${order}${reason}`)
  await RunLock.stopOrphans({
    folder,
    configPath: record.config,
    socketPath: null,
    guardProgram: fileURLToPath(new URL('./ponix-guard.sh', import.meta.url)),
    definitions: typeof definitions === 'string' ? [] : definitions,
    warn,
  })
  const left = orphansOf(record)
  if (left.length > 0)
    throw new UserError(`still running: ${left.map(({ pid }) => pid).join(', ')}; stop them by hand`, 1)
  process.stdout.write('everything is stopped\n')
  return true
}

/** Returns how to stop the processes, from the file as it is now; the reason if it cannot be read. */
function definitionsIn(file: FileOptions): readonly StopDefinition[] | string {
  try {
    return loadConfig(toLoadOptions(file)).processes
  } catch (error) {
    const [reason = ''] = messageOf(error).split('\n')
    return reason
  }
}
