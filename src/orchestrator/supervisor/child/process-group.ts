import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../../config/errors.ts'
import { groupMembers, systemSource } from '../system/process-table.ts'
import type { ProcessSource } from '../system/process-source.ts'
import { sleep, waitAtMost } from '../timers.ts'

/** A process that still runs so long after SIGKILL belongs to another user or is stuck in the kernel. */
const AFTER_KILL_MS = 5000
const FIRST_CHECK_MS = 1
const CHECK_EVERY_MS = 100
/** The interval from which on a check tests whether only unreaped zombies remain. */
const ZOMBIE_CHECK_MS = 16

export interface TerminateOptions {
  readonly signal: NodeJS.Signals
  readonly timeoutMs: number
  /** Settles when the leader has exited; null if it has already exited. */
  readonly leaderExited: Promise<unknown> | null
  /** Called before SIGKILL is sent because of the time-out. */
  onKill(): void
}

/** A child and its descendants, except descendants that have left the process group. */
export interface Group {
  /** The child's pid. */
  readonly id: number
  isEmpty(): boolean
  /** The pids of the members that run. Reads the process table. */
  members(): readonly number[]
  signal(signal: NodeJS.Signals | 0): boolean
  terminate(options: TerminateOptions): Promise<readonly number[]>
}

export class ProcessGroup implements Group {
  readonly id: number
  readonly #source: ProcessSource
  #gone = false
  /** Members that ran at the last check. While one of them runs, the process table is not scanned for others. */
  #knownMembers: readonly number[] = []

  constructor(id: number, source = systemSource) {
    this.id = id
    this.#source = source
  }

  /** Returns true when no member is left. From then on the id, which the kernel can reuse, is never signalled again. */
  isEmpty(): boolean {
    return !this.signal(0)
  }

  members(): readonly number[] {
    return this.isEmpty() ? [] : groupMembers(this.id, undefined, this.#source)
  }

  /** Sends a signal to every member; returns false if there is none. */
  signal(signal: NodeJS.Signals | 0): boolean {
    if (this.#gone) return false
    try {
      process.kill(-this.id, signal)
    } catch (error) {
      if (codeOf(error) === 'ESRCH') this.#gone = true
    }
    return !this.#gone
  }

  /** Sends the signal, waits, then sends SIGKILL. Resolves with the pids that still run afterwards. */
  async terminate(options: TerminateOptions): Promise<readonly number[]> {
    let leaderRuns = options.leaderExited !== null
    void options.leaderExited?.finally(() => (leaderRuns = false))
    if (!this.signal(options.signal)) return []
    // A stopped process (SIGSTOP, Ctrl-Z) handles signals only after SIGCONT.
    this.signal('SIGCONT')
    if (await this.#emptyWithin(options.timeoutMs, options.leaderExited)) return []
    options.onKill()
    if (leaderRuns) await killTree(this.id)
    this.signal('SIGKILL')
    return (await this.#emptyWithin(AFTER_KILL_MS, options.leaderExited))
      ? []
      : groupMembers(this.id, undefined, this.#source)
  }

  /** Waits for the exit of the leader, which is an event, and then polls for the other members. */
  async #emptyWithin(ms: number, leaderExited: Promise<unknown> | null): Promise<boolean> {
    const until = performance.now() + ms
    if (leaderExited !== null) await waitAtMost(ms, leaderExited)
    for (let wait = FIRST_CHECK_MS; performance.now() < until; wait = Math.min(wait * 2, CHECK_EVERY_MS)) {
      if (this.isEmpty() || (wait >= ZOMBIE_CHECK_MS && this.#hasOnlyZombies())) return true
      await sleep(Math.min(wait, until - performance.now()))
    }
    return this.isEmpty() || this.#hasOnlyZombies()
  }

  /** Returns whether only zombies remain; without an init process that reaps them, they remain members forever. */
  #hasOnlyZombies(): boolean {
    this.#knownMembers = groupMembers(this.id, this.#knownMembers, this.#source)
    if (this.#knownMembers.length === 0) this.#knownMembers = groupMembers(this.id, undefined, this.#source)
    this.#gone = this.#knownMembers.length === 0
    return this.#gone
  }
}

/** Limit for tree-kill, which reads the process table. */
const TREE_KILL_MS = 1000

/**
 * Sends SIGKILL to a process and its descendants, including those in other process groups. Call it only before the process is
 * reaped: the kernel can reuse the pid afterwards.
 */
async function killTree(pid: number): Promise<void> {
  if (!canReadProcessTable()) return
  const { default: treeKill } = await import('tree-kill')
  await waitAtMost(TREE_KILL_MS, new Promise((resolve) => treeKill(pid, 'SIGKILL', resolve))).catch(() => undefined)
}

/** Returns whether the program that tree-kill runs exists; without it, tree-kill throws an error that cannot be caught. */
function canReadProcessTable(): boolean {
  const program = process.platform === 'darwin' ? 'pgrep' : 'ps'
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
