import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../config/errors.ts'
import type { ResolvedProcess } from '../config/resolved.ts'
import type { SupervisorEvent } from './events.ts'
import { groupMembers } from './process-table.ts'
import { sleep, elapsed } from './timers.ts'

/** After SIGKILL only a process of another user, or one that the kernel holds, is still there. */
const AFTER_KILL_MS = 5000
const FIRST_LOOK_MS = 1
const LOOK_EVERY_MS = 100
/** From here on it is worth looking whether only dead ones are left, which nobody has collected. */
const DEAD_LOOK_MS = 16

export interface TerminateOptions {
  readonly signal: NodeJS.Signals
  readonly timeoutMs: number
  /** Settles when the leader has exited; null if it is gone already. */
  readonly leaderExited: Promise<unknown> | null
  /** Called when the time is over and SIGKILL is about to be sent. */
  onKill(): void
}

/** A child and everything it started that has not left its group. */
export interface Group {
  /** The child's pid. */
  readonly id: number
  isEmpty(): boolean
  signal(signal: NodeJS.Signals | 0): boolean
  terminate(options: TerminateOptions): Promise<readonly number[]>
}

export class ProcessGroup implements Group {
  readonly id: number
  #gone = false
  /** Members that lived at the last look. While one of them does, nobody else is looked for: that means the whole machine. */
  #living: readonly number[] = []

  constructor(id: number) {
    this.id = id
  }

  /** True once no member is left. Remembered: from then on the id may belong to somebody else, and is never signalled again. */
  isEmpty(): boolean {
    return !this.signal(0)
  }

  /** Sends a signal to every member; false if there was none. */
  signal(signal: NodeJS.Signals | 0): boolean {
    if (this.#gone) return false
    try {
      process.kill(-this.id, signal)
    } catch (error) {
      if (codeOf(error) === 'ESRCH') this.#gone = true
    }
    return !this.#gone
  }

  /**
   * Asks every member to end, waits, and kills what is left. Resolves when the group is empty, with the ids of those that
   * could not even be killed.
   */
  async terminate(options: TerminateOptions): Promise<readonly number[]> {
    if (!this.signal(options.signal)) return []
    // One that is stopped (SIGSTOP, Ctrl-Z) receives nothing until it goes on.
    this.signal('SIGCONT')
    if (await this.#emptyWithin(options.timeoutMs, options.leaderExited)) return []
    options.onKill()
    const leaderLives = options.leaderExited !== null && !(await hasSettled(options.leaderExited))
    if (leaderLives) await killTree(this.id)
    this.signal('SIGKILL')
    return (await this.#emptyWithin(AFTER_KILL_MS, options.leaderExited)) ? [] : groupMembers(this.id)
  }

  /** The leader's end is an event; for the others there is none, so they are looked for once it is gone. */
  async #emptyWithin(ms: number, leaderExited: Promise<unknown> | null): Promise<boolean> {
    const over = new AbortController()
    const timer = setTimeout(() => over.abort(), ms)
    const timeIsOver = new Promise<void>((resolve) =>
      over.signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    try {
      if (leaderExited !== null) await Promise.race([leaderExited, timeIsOver])
      for (let wait = FIRST_LOOK_MS; !over.signal.aborted; wait = Math.min(wait * 2, LOOK_EVERY_MS)) {
        if (this.isEmpty() || (wait >= DEAD_LOOK_MS && this.#holdsOnlyDead())) return true
        await sleep(wait, over.signal)
      }
      return this.isEmpty() || this.#holdsOnlyDead()
    } finally {
      clearTimeout(timer)
    }
  }

  /** In a container whose first process collects nobody, the dead stay members for ever. */
  #holdsOnlyDead(): boolean {
    if (process.platform !== 'linux') return false
    this.#living = groupMembers(this.id, this.#living)
    if (this.#living.length === 0) this.#living = groupMembers(this.id)
    this.#gone = this.#living.length === 0
    return this.#gone
  }
}

async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending
}

export interface EmptyOptions {
  /** Settles when the leader has exited; null if it is gone already. */
  readonly leaderExited: Promise<unknown> | null
  /** SIGKILL from the start. */
  readonly isKilled: boolean
}

/** Ends every member of a group as the definition says, and tells of it. */
export async function emptyGroup(
  group: Group,
  { name: process, shutdown: { signal, timeoutMs } }: ResolvedProcess,
  told: { emit(event: SupervisorEvent): void },
  { leaderExited, isKilled }: EmptyOptions,
): Promise<void> {
  const since = performance.now()
  if (leaderExited !== null) told.emit({ type: 'process_stopping', process, signal })
  const survivors = await group.terminate({
    signal: isKilled ? 'SIGKILL' : signal,
    timeoutMs,
    leaderExited,
    onKill: () => told.emit({ type: 'process_killed', process, afterMs: elapsed(since) }),
  })
  if (survivors.length > 0) told.emit({ type: 'process_survived', process, pids: survivors })
}

/** Reading the process table of a busy machine takes a moment; more is not worth waiting for. */
const TREE_KILL_MS = 1000

/**
 * SIGKILL to a living process and to whatever descends from it, also in other process groups. Only for a process that has
 * not been collected yet: its id could belong to another one by now.
 */
async function killTree(pid: number): Promise<void> {
  if (!canReadProcessTable()) return
  const { default: treeKill } = await import('tree-kill')
  const done = new AbortController()
  try {
    treeKill(pid, 'SIGKILL', () => done.abort())
  } catch {
    return
  }
  await sleep(TREE_KILL_MS, done.signal)
}

/** tree-kill throws where nobody can catch it if the program that it asks is missing. */
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
