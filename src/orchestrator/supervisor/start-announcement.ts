import type { SupervisorEvent } from './events.ts'
import { countActive, startResult } from './goals.ts'
import type { ManagedProcess } from './managed-process.ts'
import type { ProcessGraph } from './rules/graph.ts'
import { refutesReadiness } from './rules/settling.ts'
import type { Announcement, ReconciledProcess } from './rules/snapshot.ts'
import { elapsed } from './timers.ts'

/** The result of the start that has been announced. */
export class StartAnnouncement {
  #result: Announcement = 'none'
  #at = -Infinity

  get result(): Announcement {
    return this.#result
  }

  /** Makes the announcement; returns its event. */
  make(
    action: 'announce_ready' | 'announce_incomplete',
    graph: ProcessGraph<ManagedProcess>,
    startedAt: number,
  ): SupervisorEvent {
    this.#at = performance.now()
    const afterMs = elapsed(startedAt)
    this.#result = action === 'announce_ready' ? 'ready' : 'incomplete'
    if (action === 'announce_ready') return { type: 'all_ready', afterMs, count: countActive(graph) }
    return { type: 'start_incomplete', afterMs, ...startResult(graph) }
  }

  /** Forgets the announcement if this exit refutes it, so that another follows. */
  onExit(managed: ReconciledProcess | null, uptimeMs: number): void {
    if (managed === null || !refutesReadiness(managed, { uptimeMs, sinceAnnouncedMs: elapsed(this.#at) })) return
    this.#result = 'none'
  }
}
