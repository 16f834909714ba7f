import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { RunError } from '../../config/errors.ts'
import { endEscaped } from '../orphans.ts'
import { startOf } from '../process-table.ts'
import { sleep } from '../timers.ts'
import { type RunFolder, isRunning, readRecord, removeRecord, type RunRecord, writeRecord } from './run-folder.ts'
import type { GuardPlan } from './stop-plan.ts'

const LOOK_EVERY_MS = 50
/** A guard that dies at once, again and again, is not started for ever. */
const MAX_GUARDS = 5

export interface ClaimOptions {
  readonly folder: RunFolder
  readonly configPath: string
  /** Where this orchestrator takes commands; null: it takes none. */
  readonly socketPath: string | null
  /** The built program that carries a guard's plan out. */
  readonly guardProgram: string
  /** One line for people. */
  readonly warn: (message: string) => void
}

/** This orchestrator's sole right to run a configuration, and the guard that watches over what it starts. */
export class Claim {
  /** What the variable of every child begins with. */
  readonly mark = randomUUID()
  readonly #options: ClaimOptions
  #guard: Guard
  #guards = 1
  #makePlan: (() => GuardPlan) | null = null

  private constructor(options: ClaimOptions) {
    this.#options = options
    this.#guard = this.#newGuard()
  }

  /**
   * Resolves when the configuration is ours: what a run that was killed left behind is gone by then. Throws a RunError if
   * another orchestrator runs it.
   */
  static async take(options: ClaimOptions): Promise<Claim> {
    const claim = new Claim(options)
    try {
      await claim.#awaitLock()
      await claim.#clearAfter(claim.#living())
    } catch (error) {
      claim.#guard.dismiss()
      throw error
    }
    const { configPath: config, folder, socketPath: socket } = options
    const { pid } = process
    writeRecord(folder.recordPath, { pid, startTime: startOf(pid), mark: claim.mark, config, socket })
    return claim
  }

  /** To be called whenever what lives has changed, and once before anything does. */
  protect(makePlan: () => GuardPlan): void {
    this.#makePlan = makePlan
    this.#guard.protect(makePlan)
  }

  /** Nothing of this run lives any longer. */
  async release(): Promise<void> {
    this.#makePlan = null
    removeRecord(this.#options.folder.recordPath)
    await this.#guard.release()
  }

  #newGuard(): Guard {
    const { folder, guardProgram, warn } = this.#options
    const guard = new Guard({
      lockPath: folder.lockPath,
      program: guardProgram,
      onLost: () => {
        warn('the guard, which stops the processes should the orchestrator be killed, has ended; starting another')
        if (++this.#guards > MAX_GUARDS) return
        this.#guard = this.#newGuard()
        if (this.#makePlan !== null) this.#guard.protect(this.#makePlan)
      },
    })
    // Awaited for the first guard only; whether a later one could start is told by `onLost`.
    guard.held.catch(() => undefined)
    return guard
  }

  /** The lock outlives the orchestrator that was killed: its guard has it until its work is done. */
  async #awaitLock(): Promise<void> {
    const over = new AbortController()
    let said = false
    const held = this.#guard.held.finally(() => over.abort())
    held.catch(() => undefined)
    await sleep(LOOK_EVERY_MS, over.signal)
    while (!over.signal.aborted) {
      const record = this.#living()
      if (record !== null && !said) {
        said = true
        this.#options.warn(
          `the run before this one (pid ${record.pid}) was killed; waiting until what it left is stopped`,
        )
      }
      await sleep(LOOK_EVERY_MS, over.signal)
    }
    await held
  }

  /** The record of a run that is over; throws if that run still goes on. */
  #living(): RunRecord | null {
    const record = readRecord(this.#options.folder.recordPath)
    if (record === null || !isRunning(record)) return record
    throw new RunError(
      `${this.#options.configPath} is run by another ponix-orchestrator already (pid ${record.pid}): stop that one first`,
    )
  }

  /** A guard that was killed too has left things behind. */
  async #clearAfter(record: RunRecord | null): Promise<void> {
    if (record === null) return
    await endEscaped(record.mark, {
      killNow: () => false,
      emit: (event) => {
        if (event.type !== 'descendants_killed') return
        this.#options.warn(`stopped what the run before this one left of ${event.process} (${event.pids.join(', ')})`)
      },
    })
  }
}

/**
 * The guard itself is a shell, because one that waits takes a megabyte where Node takes forty. It holds the lock for as
 * long as anything of this run may live, reads plans, of which the last counts, and acts when its pipe closes without a
 * word: whatever became of the orchestrator, the kernel closes the pipe. `flock` (util-linux, busybox) is not everywhere;
 * without it two runs at the same moment are told apart by the record alone.
 */
const SCRIPT = `
trap '' HUP INT TERM
exec 9>>"$1" || exit 73
if command -v flock >/dev/null; then flock 9; fi
echo held
exec >/dev/null
plan=done
while IFS= read -r line; do plan=$line; done
[ "$plan" = done ] || printf '%s\\n' "$plan" | "$2" "$3"
`
const DONE = 'done'
/** Plans that follow each other closely are written once: what was started meanwhile carries the mark. */
const COALESCE_MS = 20

export interface GuardOptions {
  /** Exists, or its folder does. */
  readonly lockPath: string
  /** The built program that carries a plan out. */
  readonly program: string
  /** It was killed: from now on nobody guards. Not called for an end that was asked for. */
  onLost(): void
}

/** A small process, in a session of its own, that outlives the orchestrator to stop what it started (O-38). */
export class Guard {
  /** Resolves when the lock is held; rejects if the guard could not be started. */
  readonly held: Promise<void>
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #makePlan: (() => GuardPlan) | null = null
  #timer: NodeJS.Timeout | null = null
  #lastLine = ''
  #released = false

  constructor(options: GuardOptions) {
    const args = ['-c', SCRIPT, 'ponix-guard', options.lockPath, process.execPath, options.program]
    this.#child = spawn('/bin/sh', args, {
      cwd: '/',
      detached: true,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    // A guard that is gone takes no more plans; its end is told by `close`.
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
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('close', () => {
        if (isHeld && !this.#released) options.onLost()
        resolve()
      })
    })
  }

  /** `makePlan` is asked at once the first time, later soon, and then for what is so by then. */
  protect(makePlan: () => GuardPlan): void {
    const isFirst = this.#makePlan === null
    this.#makePlan = makePlan
    if (isFirst) this.#write()
    else this.#timer ??= setTimeout(() => this.#write(), COALESCE_MS).unref()
  }

  /** Nothing is left to guard: it goes, and with it the lock. Resolves when it is gone. */
  async release(): Promise<void> {
    this.#released = true
    this.#makePlan = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#child.stdin?.end(`${DONE}\n`)
    await this.#ended
  }

  /** It never held anything, and is to wait no longer. */
  dismiss(): void {
    this.#released = true
    const { pid } = this.#child
    if (pid === undefined || this.#child.exitCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  #write(): void {
    this.#timer = null
    const { stdin } = this.#child
    if (this.#makePlan === null || stdin === null || stdin.destroyed) return
    if (stdin.writableNeedDrain) {
      stdin.once('drain', () => this.#write())
      return
    }
    const line = JSON.stringify(this.#makePlan())
    if (line === this.#lastLine) return
    this.#lastLine = line
    stdin.write(`${line}\n`)
  }
}
