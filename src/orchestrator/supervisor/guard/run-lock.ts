import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { startOf } from '../system/process-table.ts'
import { sleep } from '../timers.ts'
import { Guard, type TerminalMode } from './guard.ts'
import {
  createRunFolder,
  isRunning,
  markStopping,
  readRecord,
  refreshRunFolder,
  removeRunFolder,
  type RunFolder,
  type RunRecord,
  writeRecord,
} from './run-folder.ts'
import { type StopDefinition, stopOrphans } from './orphaned-run.ts'
import type { StopPlan } from './stop-plan.ts'

const POLL_MS = 50
/** The maximum number of starts of a guard that keeps exiting. */
const MAX_GUARDS = 5
/** Far less than the age at which programs remove temporary files. */
const REFRESH_MS = 6 * 3_600_000

export interface RunLockOptions {
  readonly folder: RunFolder
  readonly configPath: string
  /** Path of the control socket; null if this orchestrator accepts no commands. */
  readonly socketPath: string | null
  /** The path of the built ponix-guard.sh. */
  readonly guardProgram: string
  /** How to stop the processes of a killed run; default: all at the same time. */
  readonly definitions?: readonly StopDefinition[]
  readonly warn: (message: string) => void
}

/** The exclusive right to run a configuration, held by a guard that stops the processes if the orchestrator is killed. */
export class RunLock {
  /** Prefix of the environment variable that marks every child of the run. */
  readonly runTag = randomUUID()
  readonly #options: RunLockOptions
  #guard: Guard
  #guards = 1
  #makePlan: (() => StopPlan) | null = null
  #refresh: NodeJS.Timeout | null = null
  #terminal: TerminalMode | null = null

  private constructor(options: RunLockOptions) {
    this.#options = options
    this.#guard = this.#startGuard()
  }

  /**
   * Resolves when this orchestrator holds the lock and the orphans of a killed run are stopped. Throws a UserError if another
   * orchestrator runs the configuration, or if the run folder cannot be written.
   */
  static async acquire(options: RunLockOptions): Promise<RunLock> {
    const { configPath: config, folder, socketPath: socket } = options
    const lock = await RunLock.#lock(options)
    try {
      // Without flock, a run that ends at the same time may have removed the folder.
      createRunFolder(folder)
      const { pid } = process
      writeRecord(folder.recordPath, { pid, startTime: startOf(pid), mark: lock.runTag, config, socket })
      lock.#keepFolder()
    } catch (error) {
      await lock.release()
      throw error
    }
    return lock
  }

  /** Stops the orphans of a killed run, and removes its folder. Throws as `acquire` does. */
  static async stopOrphans(options: RunLockOptions): Promise<void> {
    const lock = await RunLock.#lock(options)
    await lock.release()
  }

  /** Resolves when the lock is held and nothing of a killed run is left. */
  static async #lock(options: RunLockOptions): Promise<RunLock> {
    const { folder, definitions = [], warn } = options
    previousRun(options)
    createRunFolder(folder)
    const lock = new RunLock(options)
    try {
      await lock.#waitForLock()
      const killed = previousRun(options)
      if (killed !== null) await stopOrphans(killed, definitions, warn)
    } catch (error) {
      lock.#guard.dismiss()
      throw error
    }
    // A killed run may have left its socket, which a new run replaces only if it listens there.
    rmSync(folder.socketPath, { force: true })
    return lock
  }

  /** Updates the guard's plan. Call it before the first child starts, and after every change of the running processes. */
  protect(makePlan: () => StopPlan): void {
    this.#makePlan = makePlan
    this.#guard.planChanged()
  }

  /** Sets the mode of our terminal that the guard restores; null if there is nothing to restore. */
  protectTerminal(mode: TerminalMode | null): void {
    this.#terminal = mode
    this.#guard.setTerminal(mode)
  }

  /** Lets a second start report that this run stops. */
  stopping(): void {
    markStopping(this.#options.folder, this.runTag)
  }

  /** Releases the lock and removes the run folder. Call it when every process of this run has exited and the socket is closed. */
  async release(): Promise<void> {
    this.#makePlan = null
    if (this.#refresh !== null) clearInterval(this.#refresh)
    removeRunFolder(this.#options.folder)
    await this.#guard.release()
  }

  /** Keeps programs that remove old temporary files away from the run folder; reports once if it was removed. */
  #keepFolder(): void {
    const { folder, warn } = this.#options
    const refresh = setInterval(() => {
      if (refreshRunFolder(folder)) return
      clearInterval(refresh)
      const effect = 'commands cannot reach this orchestrator, and a second one could start'
      warn(
        `the run folder ${folder.path} was removed: ${effect}; stop this one with "kill ${process.pid}" and start it again`,
      )
    }, REFRESH_MS)
    this.#refresh = refresh.unref()
  }

  #startGuard(): Guard {
    const { configPath, folder, guardProgram, warn } = this.#options
    const guard = new Guard({
      configPath,
      lockPath: folder.lockPath,
      program: guardProgram,
      makePlan: () => this.#makePlan?.() ?? null,
      onLost: () => {
        if (++this.#guards > MAX_GUARDS) {
          warn('the guard exited again and is not restarted; if the orchestrator is killed, its processes keep running')
          return
        }
        warn('the guard, which stops the processes if the orchestrator is killed, exited; starting another')
        this.#guard = this.#startGuard()
        this.#guard.setTerminal(this.#terminal)
        this.#guard.planChanged()
      },
    })
    // Only `acquire` awaits `held`; `onLost` reports a later guard that cannot start.
    guard.held.catch(() => undefined)
    return guard
  }

  /** Waits for the lock: the guard of a killed orchestrator holds it until it has stopped everything. */
  async #waitForLock(): Promise<void> {
    const settled = new AbortController()
    let reported = false
    const held = this.#guard.held.finally(() => settled.abort())
    held.catch(() => undefined)
    await sleep(POLL_MS, settled.signal)
    while (!settled.signal.aborted) {
      const record = previousRun(this.#options)
      if (record !== null && !reported) {
        reported = true
        this.#options.warn(`the previous run (pid ${record.pid}) was killed; waiting until its processes are stopped`)
      }
      await sleep(POLL_MS, settled.signal)
    }
    await held
  }
}

/** Returns the record of a run that has ended; null if there is none. Throws a UserError if the run continues. */
export function previousRun({ folder, configPath }: Pick<RunLockOptions, 'folder' | 'configPath'>): RunRecord | null {
  const record = readRecord(folder.recordPath)
  if (record === null || !isRunning(record)) return record
  if (record.stopping === true) {
    throw new UserError(`${configPath} is stopping (pid ${record.pid}); try again when it has ended`)
  }
  const [attach, reload, down] = ['attach', 'reload', 'down'].map((command) =>
    ownCommand(command, { config: configPath }),
  )
  const advice = `show its output with "${attach}", apply changes of the file with "${reload}", or stop it with "${down}"`
  throw new UserError(`${configPath} is already run by another ponix-orchestrator (pid ${record.pid}); ${advice}`)
}
