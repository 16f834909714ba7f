import { randomUUID } from 'node:crypto'
import { endEscaped } from '../orphans.ts'
import { startOf } from '../process-table.ts'
import { sleep } from '../timers.ts'
import { Guard } from './guard.ts'
import type { GuardPlan } from './plan.ts'
import { RunError } from '../../config/errors.ts'
import type { RunFolder } from './run-folder.ts'
import { isRunning, readRecord, removeRecord, type RunRecord, writeRecord } from './run-record.ts'

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
