import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { codeOf, systemReason, UserError } from '../../config/errors.ts'
import { missingFile } from '../../config/source/missing-file.ts'
import { createFolder } from '../system/create-folder.ts'
import { startOf, type TaggedProcess, taggedProcesses } from '../system/process-table.ts'
import type { ProcessSource } from '../system/process-source.ts'

const RECORD = 'run.json'

/** The lock, the record and the default control socket of the run of one configuration. */
export interface RunFolder {
  readonly path: string
  readonly lockPath: string
  readonly recordPath: string
  readonly socketPath: string
}

/**
 * Returns the folder of a configuration's run, which exists only during the run: in `XDG_RUNTIME_DIR`, otherwise in a per-user
 * folder below the system's temporary folder. All paths of one file have the same folder. The file may be missing. Throws a
 * UserError if another user can write there, because a forged record makes the orchestrator kill processes.
 */
export function runFolder(configPath: string, environment: NodeJS.ProcessEnv): RunFolder {
  const name = createHash('sha256').update(canonicalPath(configPath)).digest('hex').slice(0, 16)
  return folderAt(join(parentFolder(environment), name))
}

/**
 * Returns the folder of a configuration's run, for a client: also if the file was renamed or deleted since the start. Throws a
 * UserError if the file cannot be read and no orchestrator runs it, and as `runFolder` does.
 */
export function existingRunFolder(configPath: string, environment: NodeJS.ProcessEnv): RunFolder {
  try {
    realpathSync(configPath)
  } catch (error) {
    const running = runsOf(configPath, environment)[0]
    if (running === undefined) throw new UserError(missingFile(configPath, error))
    return running.folder
  }
  return runFolder(configPath, environment)
}

/** Returns whether an orchestrator of this user runs the file with this path, which may be missing, or has left processes. */
export function isRun(configPath: string, environment: NodeJS.ProcessEnv): boolean {
  return runsOf(configPath, environment).length > 0
}

/** Returns the runs of the file that continue, or have left processes. */
function runsOf(configPath: string, environment: NodeJS.ProcessEnv): readonly RunningRecord[] {
  const path = canonicalPath(configPath)
  const records = allRecords(environment).filter(({ config }) => canonicalPath(config) === path)
  const running = records.filter((record) => isRunning(record))
  return running.length > 0 ? running : records.filter((record) => orphansOf(record).length > 0)
}

/** Returns the run folder with this path. Throws a UserError as `runFolder` does. */
export function folderAt(path: string): RunFolder {
  assertPrivate(path)
  return { path, lockPath: join(path, 'lock'), recordPath: join(path, RECORD), socketPath: join(path, 'control') }
}

function parentFolder(environment: NodeJS.ProcessEnv): string {
  const runtime = environment['XDG_RUNTIME_DIR']
  return runtime?.startsWith('/')
    ? join(runtime, 'ponix-orchestrator')
    : join(tmpdir(), `ponix-orchestrator-${userId()}`)
}

/** Creates the folder of a run if it is missing. Throws a UserError as `runFolder` does. */
export function createRunFolder({ path }: RunFolder): void {
  createFolder(path, { advice: 'set XDG_RUNTIME_DIR to a folder that you own' })
  assertPrivate(path)
}

/** Returns the id of this user, who may have no name, as in a container; -1 on a system without ids. */
function userId(): number {
  return process.getuid?.() ?? -1
}

/** Removes the folder of a run. Call it while holding the lock. Keeps a folder in which another run has begun without a lock. */
export function removeRunFolder({ path, lockPath, recordPath }: RunFolder): void {
  rmSync(recordPath, { force: true })
  rmSync(lockPath, { force: true })
  try {
    rmdirSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'ENOENT') throw error
  }
}

/**
 * Marks the folder of a run and its files as used, so that programs that remove old temporary files keep them. The time of the last
 * change stays: that of the record is the start of the run. Returns false if the record is gone.
 */
export function refreshRunFolder({ path, lockPath, recordPath, socketPath }: RunFolder): boolean {
  for (const file of [path, lockPath, recordPath, socketPath]) {
    const stat = lstatSync(file, { throwIfNoEntry: false })
    if (stat === undefined) continue
    try {
      utimesSync(file, new Date(), stat.mtime)
    } catch {
      // The file was removed meanwhile, or its file system does not allow it.
    }
  }
  return existsSync(recordPath)
}

/** Removes what a killed run has left, unless another run has begun in its folder. */
export function removeKilledRun(folder: RunFolder, runTag: string): void {
  if (readRecord(folder.recordPath)?.mark !== runTag) return
  rmSync(folder.socketPath, { force: true })
  removeRunFolder(folder)
}

/** Throws a UserError if another user can write to the folder of a run or to its parent; a missing folder is accepted. */
function assertPrivate(folder: string): void {
  const uid = userId()
  for (const path of [dirname(folder), folder]) {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined) continue
    if (!stat.isDirectory() || (uid >= 0 && stat.uid !== uid) || (stat.mode & 0o022) !== 0) {
      throw new UserError(`${path} is not a folder that only you can write to: remove it, or set XDG_RUNTIME_DIR`)
    }
  }
}

/** Returns the absolute path without symbolic links; of a missing file, that of its folder with its name. */
export function canonicalPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const absolute = resolve(path)
    const folder = dirname(absolute)
    return folder === absolute ? absolute : join(canonicalPath(folder), basename(absolute))
  }
}

const runRecord = z.strictObject({
  pid: z.int().positive(),
  /** The kernel's start time of the process, which distinguishes it from a later process with the same pid; null if unknown. */
  startTime: z.string().nullable(),
  /** Prefix of the environment variable that marks every child of the run. */
  mark: z.string().min(1),
  config: z.string(),
  /** Path of the control socket; null if the orchestrator accepts no commands. */
  socket: z.string().nullable(),
  /** Present while the run stops everything. */
  stopping: z.literal(true).optional(),
})

/** The orchestrator that runs a configuration. */
export type RunRecord = z.infer<typeof runRecord>

/** Reads the record; null if there is no valid record. */
export function readRecord(path: string): RunRecord | null {
  try {
    return runRecord.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

/** A record with its folder and the time of its creation. */
export type RunningRecord = RunRecord & { readonly folder: RunFolder; readonly since: Date }

/** Returns the records of all orchestrators of this user that run, in the order of their configurations. */
export function runningRecords(environment: NodeJS.ProcessEnv): readonly RunningRecord[] {
  return allRecords(environment).filter((record) => isRunning(record))
}

/** A record of a killed orchestrator, with the number of its processes that still run. */
export type OrphanedRecord = RunningRecord & { readonly orphans: number }

/** Returns the records of all killed orchestrators of this user whose processes still run. */
export function orphanedRecords(environment: NodeJS.ProcessEnv): readonly OrphanedRecord[] {
  return allRecords(environment).flatMap((record): readonly OrphanedRecord[] => {
    const orphans = isRunning(record) ? 0 : orphansOf(record).length
    return orphans === 0 ? [] : [{ ...record, orphans }]
  })
}

/** Returns the running processes of a run that has ended. */
export function orphansOf({ mark }: RunRecord): readonly TaggedProcess[] {
  return taggedProcesses(`${mark}/`)
}

function allRecords(environment: NodeJS.ProcessEnv): readonly RunningRecord[] {
  const parent = parentFolder(environment)
  const entries = existsSync(parent) ? readdirSync(parent, { withFileTypes: true }) : []
  // With XDG_STATE_HOME in the same folder, log files are beside the run folders.
  return entries
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const folder = folderAt(join(parent, name))
      const record = readRecord(folder.recordPath)
      const since = statSync(folder.recordPath, { throwIfNoEntry: false })?.mtime
      return record === null || since === undefined ? [] : { ...record, folder, since }
    })
    .toSorted((a, b) => (a.config < b.config ? -1 : 1))
}

/** Replaces the record atomically. Throws a UserError if it cannot be written. */
export function writeRecord(path: string, record: RunRecord): void {
  const aside = `${path}.${record.pid}`
  try {
    writeFileSync(aside, JSON.stringify(record), { mode: 0o600 })
    renameSync(aside, path)
  } catch (error) {
    rmSync(aside, { force: true })
    throw new UserError(`cannot write ${path}: ${systemReason(error)}; set XDG_RUNTIME_DIR to a folder with free space`)
  }
}

/** Records that the run stops. Without a record that can be written, a second start only reports that the run continues. */
export function markStopping({ recordPath }: RunFolder, runTag: string): void {
  const record = readRecord(recordPath)
  const since = statSync(recordPath, { throwIfNoEntry: false })?.mtime
  if (record?.mark !== runTag || since === undefined) return
  try {
    writeRecord(recordPath, { ...record, stopping: true })
    // The time of the record is the start of the run.
    utimesSync(recordPath, new Date(), since)
  } catch {
    // The disk is full, or the folder was removed.
  }
}

/** Returns whether the orchestrator of a record is still running. */
export function isRunning({ pid, startTime }: RunRecord, source?: ProcessSource): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false
  }
  return startTime === startOf(pid, source)
}
