import type { ResolvedProcess } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { elapsed, sleep } from '../timers.ts'
import { describeOrphans, type Orphans } from './orphans.ts'
import type { Group } from './process-group.ts'

/** Members of a group that end together with its leader are gone after this time, and no reason for a warning. */
const ENDING_MS = 50

/** `report` receives the processes that are ended, instead of an event. */
export type ReapEscaped = (children: number, report?: (orphans: Orphans) => void) => Promise<void>

export interface GroupsContext {
  /** Ends the processes that left the process groups of the first `children` children. */
  readonly reapEscaped: ReapEscaped
  readonly onReaped: () => void
  readonly emit: (event: SupervisorEvent) => void
}

/**
 * The process groups of all children of one process, and their orphans: remaining members of the groups of earlier children, and
 * processes that left these groups.
 */
export class ChildGroups {
  readonly #definition: Pick<ResolvedProcess, 'name' | 'shutdown' | 'secretNames'>
  readonly #context: GroupsContext
  /** The group of the child that has not exited, or is being ended. */
  #current: Group | null = null
  readonly #orphaned = new Set<Group>()
  #children = 0
  /** True if a child was started since the last scan for escaped processes. */
  #mayHaveEscaped = false
  /** True if orphans of the last child are a reason for the warning that a service has left processes. */
  #warns = false
  #hasWarned = false
  #endingOrphans: Promise<void> | null = null
  #reaping: Promise<void> | null = null
  #isKilled = false

  constructor(definition: Pick<ResolvedProcess, 'name' | 'shutdown' | 'secretNames'>, context: GroupsContext) {
    this.#definition = definition
    this.#context = context
  }

  /** The ids of the groups that may have members. */
  get ids(): readonly number[] {
    return this.#all.map((group) => group.id)
  }

  /** True after `kill`. */
  get isKilled(): boolean {
    return this.#isKilled
  }

  /** True if no group of an earlier child is known to have members, and no `reap` is in progress. */
  get isIdle(): boolean {
    return this.#orphaned.size === 0 && this.#reaping === null
  }

  /** True if there may be orphans, and no `reap` is in progress. */
  get needsReaping(): boolean {
    return this.#reaping === null && (this.#orphaned.size > 0 || this.#mayHaveEscaped)
  }

  /** Returns the pids of the orphans in the groups of earlier children. Reads the process table. */
  orphans(): readonly number[] {
    return Array.from(this.#orphaned, (group) => group.members()).flat()
  }

  /** Takes the group of a child that has started. */
  childStarted(group: Group): void {
    this.#current = group
    this.#children++
    this.#mayHaveEscaped = true
    this.#warns = false
  }

  /** The child has exited by itself; the remaining members of its group are orphans. `warns`: they are reported once. */
  childExited({ warns }: { readonly warns: boolean }): void {
    this.#warns = warns
    if (this.#current !== null && !this.#current.isEmpty()) this.#orphaned.add(this.#current)
    this.#current = null
  }

  /** Stops the child, whose exit settles `exited`, with its group. */
  async endChild(exited: Promise<unknown>): Promise<void> {
    if (this.#current !== null) await this.#end(this.#current, exited)
    this.#current = null
  }

  /** Sends SIGKILL to all groups, synchronously, even if they are being stopped. */
  kill(): void {
    this.#isKilled = true
    for (const group of this.#all) group.signal('SIGKILL')
  }

  /** Resolves when all orphans are gone. */
  async reap(): Promise<void> {
    if (this.needsReaping) this.#reaping = this.#reap()
    await this.#reaping
  }

  /** Reaps, then calls `start`. With `groupsOnly` the costly scan for escaped processes follows only after `start`. */
  async reapThen(start: () => void, { groupsOnly }: { readonly groupsOnly: boolean }): Promise<void> {
    const children = this.#children
    const report = this.#report
    await (groupsOnly ? this.#endOrphans() : this.reap())
    start()
    if (groupsOnly) void this.#context.reapEscaped(children, this.#hasWarned ? undefined : report)
  }

  get #all(): readonly Group[] {
    return this.#current === null ? [...this.#orphaned] : [this.#current, ...this.#orphaned]
  }

  async #reap(): Promise<void> {
    await this.#endOrphans()
    this.#mayHaveEscaped = false
    await this.#context.reapEscaped(this.#children, this.#report)
    this.#reaping = null
    this.#context.onReaped()
  }

  async #endOrphans(): Promise<void> {
    if (this.#orphaned.size === 0) return
    this.#endingOrphans ??= this.#endGroups().then(() => {
      this.#endingOrphans = null
      this.#context.onReaped()
    })
    await this.#endingOrphans
  }

  async #endGroups(): Promise<void> {
    const report = this.#report
    if (report !== undefined && !this.#isKilled) {
      await sleep(ENDING_MS)
      const pids = this.orphans()
      if (pids.length > 0) report(describeOrphans(pids, this.#definition.secretNames))
    }
    await Promise.all(
      Array.from(this.#orphaned, async (group) => {
        await this.#end(group, null)
        this.#orphaned.delete(group)
      }),
    )
  }

  /** Reports orphans that the last child of a service has left; undefined if they are no reason for a warning. */
  get #report(): ((orphans: Orphans) => void) | undefined {
    if (!this.#warns || this.#hasWarned) return undefined
    return (orphans) => {
      this.#hasWarned = true
      this.#context.emit({ type: 'processes_left', process: this.#definition.name, ...orphans })
    }
  }

  /** Ends every member of a group and reports it. `leaderExited` is null if the leader has already exited. */
  async #end(group: Group, leaderExited: Promise<unknown> | null): Promise<void> {
    const { emit } = this.#context
    const { name: process, shutdown } = this.#definition
    const since = performance.now()
    if (leaderExited !== null) emit({ type: 'process_stopping', process, signal: shutdown.signal })
    const survivors = await group.terminate({
      signal: this.#isKilled ? 'SIGKILL' : shutdown.signal,
      timeoutMs: shutdown.timeoutMs,
      leaderExited,
      onKill: () => emit({ type: 'process_killed', process, afterMs: elapsed(since) }),
    })
    if (survivors.length > 0) emit({ type: 'process_survived', process, pids: survivors })
  }
}
