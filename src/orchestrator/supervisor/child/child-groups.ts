import type { ResolvedProcess } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { elapsed } from '../timers.ts'
import type { Group } from './process-group.ts'

export interface GroupsContext {
  /** Ends the processes that left the process groups of the first `children` children. */
  readonly reapEscaped: (children: number) => Promise<void>
  readonly onReaped: () => void
  readonly emit: (event: SupervisorEvent) => void
}

/**
 * The process groups of all children of one process, and their orphans: remaining members of the groups of earlier children, and
 * processes that left these groups.
 */
export class ChildGroups {
  readonly #definition: Pick<ResolvedProcess, 'name' | 'shutdown'>
  readonly #context: GroupsContext
  /** The group of the child that has not exited, or is being ended. */
  #current: Group | null = null
  readonly #orphaned = new Set<Group>()
  #children = 0
  /** True if a child was started since the last scan for escaped processes. */
  #mayHaveEscaped = false
  #endingOrphans: Promise<void> | null = null
  #reaping: Promise<void> | null = null
  #isKilled = false

  constructor(definition: Pick<ResolvedProcess, 'name' | 'shutdown'>, context: GroupsContext) {
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

  /** Takes the group of a child that has started. */
  childStarted(group: Group): void {
    this.#current = group
    this.#children++
    this.#mayHaveEscaped = true
  }

  /** The child has exited by itself; the remaining members of its group are orphans. */
  childExited(): void {
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
    await (groupsOnly ? this.#endOrphans() : this.reap())
    start()
    if (groupsOnly) void this.#context.reapEscaped(children)
  }

  get #all(): readonly Group[] {
    return this.#current === null ? [...this.#orphaned] : [this.#current, ...this.#orphaned]
  }

  async #reap(): Promise<void> {
    await this.#endOrphans()
    this.#mayHaveEscaped = false
    await this.#context.reapEscaped(this.#children)
    this.#reaping = null
    this.#context.onReaped()
  }

  async #endOrphans(): Promise<void> {
    if (this.#orphaned.size === 0) return
    this.#endingOrphans ??= Promise.all(
      Array.from(this.#orphaned, async (group) => {
        await this.#end(group, null)
        this.#orphaned.delete(group)
      }),
    ).then(() => {
      this.#endingOrphans = null
      this.#context.onReaped()
    })
    await this.#endingOrphans
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
