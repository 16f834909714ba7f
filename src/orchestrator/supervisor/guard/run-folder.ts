import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, realpathSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { RunError, codeOf, messageOf } from '../../config/errors.ts'
import { startOf } from '../process-table.ts'

/** Where the running orchestrator of one configuration keeps its lock, its record and its socket. */
export interface RunFolder {
  readonly lockPath: string
  readonly recordPath: string
  readonly socketPath: string
}

/**
 * The folder of a configuration's run, made if it is missing: in `XDG_RUNTIME_DIR`, or else in a folder of this user in the
 * one for temporary files. The same file has the same folder by whatever path it is named. Throws a RunError if the folder
 * is not this user's alone: whoever can write there could have us kill processes.
 */
export function runFolder(configPath: string, environment: NodeJS.ProcessEnv): RunFolder {
  const { uid } = userInfo()
  const runtime = environment['XDG_RUNTIME_DIR']
  const home =
    runtime !== undefined && runtime.startsWith('/')
      ? join(runtime, 'ponix-orchestrator')
      : join(tmpdir(), `ponix-orchestrator-${uid}`)
  const name = createHash('sha256').update(realPath(configPath)).digest('hex').slice(0, 16)
  const folder = join(home, name)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new RunError(`cannot make the folder ${folder}: ${reasonOf(error)}; set XDG_RUNTIME_DIR to a folder of yours`)
  }
  for (const path of [home, folder]) {
    const stat = lstatSync(path)
    if (!stat.isDirectory() || (uid >= 0 && stat.uid !== uid) || (stat.mode & 0o022) !== 0) {
      throw new RunError(`${path} is not a folder that only you can write to: remove it, or set XDG_RUNTIME_DIR`)
    }
  }
  return { lockPath: join(folder, 'lock'), recordPath: join(folder, 'run.json'), socketPath: join(folder, 'control') }
}

function realPath(configPath: string): string {
  try {
    return realpathSync(configPath)
  } catch (error) {
    throw new RunError(`${configPath} cannot be read: ${reasonOf(error)}; name another file with --config`)
  }
}

function reasonOf(error: unknown): string {
  return codeOf(error) ?? messageOf(error)
}

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
