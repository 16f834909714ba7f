import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { startOf } from '../system/process-table.ts'
import { sleep } from '../timers.ts'
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

/** The mode of a terminal; `current` and `before` are arguments of stty. */
export interface TerminalMode {
  /** The path of the terminal, such as `/dev/pts/3`. */
  readonly path: string
  readonly before: string
  readonly current: string
}

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

const DONE = 'done'
/** Changes in quick succession are written once; children started in between are found by their run tag. */
const COALESCE_MS = 20

interface GuardOptions {
  readonly configPath: string
  /** Path of the lock file, which is created if its folder exists. */
  readonly lockPath: string
  /** The path of ponix-guard.sh. */
  readonly program: string
  /** Returns the plan; null before the first process starts, and after the last has exited. */
  makePlan(): StopPlan | null
  /** Called when the guard exited without `release` or `dismiss`. */
  onLost(): void
}

/**
 * A shell in a separate session, which continues to run after the orchestrator has ended: it uses 1 MB of memory, Node.js 40 MB. See
 * ponix-guard.sh.
 */
class Guard {
  /** Resolves when the guard holds the lock; rejects if it could not be started. */
  readonly held: Promise<void>
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #makePlan: () => StopPlan | null
  #timer: NodeJS.Timeout | null = null
  #lastLine = ''
  #released = false

  constructor(options: GuardOptions) {
    this.#makePlan = () => options.makePlan()
    this.#child = spawn('/bin/sh', [options.program, options.configPath], {
      cwd: '/',
      detached: true,
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        PONIX_GUARD_LOCK: options.lockPath,
        PONIX_GUARD_NODE: process.execPath,
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    // EPIPE after the guard exited; `close` reports the exit.
    this.#child.stdin?.on('error', () => undefined)
    let isHeld = false
    this.held = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', () => reject(new Error(`the guard could not lock ${options.lockPath}`)))
      const { stdout } = this.#child
      if (stdout === null) return
      createInterface({ input: stdout }).on('line', (line) => {
        if (line !== 'held') return
        isHeld = true
        resolve()
      })
    })
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('close', () => {
        if (isHeld && !this.#released) options.onLost()
        resolve()
      })
    })
  }

  /** Sends the plan to the guard: the first immediately, later plans after a short delay that coalesces changes. */
  planChanged(): void {
    if (this.#lastLine === '') this.#write()
    else this.#timer ??= setTimeout(() => this.#write(), COALESCE_MS).unref()
  }

  /** Sends the mode to restore to the guard immediately. */
  setTerminal(mode: TerminalMode | null): void {
    const { stdin } = this.#child
    if (stdin === null || stdin.destroyed) return
    stdin.write(mode === null ? 'terminal\n' : `terminal ${mode.path} ${mode.current} ${mode.before}\n`)
  }

  /** Ends the guard and frees the lock. Resolves when it has exited. */
  async release(): Promise<void> {
    this.#released = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#child.stdin?.end(`${DONE}\n`)
    await this.#exited
  }

  /** Kills a guard that does not hold the lock yet. */
  dismiss(): void {
    this.#released = true
    const { pid } = this.#child
    if (pid === undefined || this.#child.exitCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  #write(): void {
    this.#timer = null
    const { stdin } = this.#child
    if (stdin === null || stdin.destroyed) return
    if (stdin.writableNeedDrain) {
      stdin.once('drain', () => this.#write())
      return
    }
    const plan = this.#makePlan()
    if (plan === null) return
    const line = JSON.stringify(plan)
    if (line === this.#lastLine) return
    this.#lastLine = line
    stdin.write(`${line}\n`)
  }
}
