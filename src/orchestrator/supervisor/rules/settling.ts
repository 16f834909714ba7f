import type { ReconciledProcess, Snapshot } from './snapshot.ts'

/** The uptime from which a service without a readiness probe counts as ready: many wrong configurations exit earlier. */
export const READY_AFTER_MS = 1000

type Settling = Pick<ReconciledProcess, 'definition' | 'state' | 'startedAt'>

/** Returns the milliseconds until a running service without a readiness probe counts as ready; 0 if it does not depend on time. */
export function settlesInMs({ definition, state, startedAt }: Settling, now: number): number {
  const dependsOnTime = definition.kind === 'service' && definition.readinessProbe === null
  if (state.type !== 'running' || startedAt === null || !dependsOnTime) return 0
  return Math.max(0, READY_AFTER_MS - (now - startedAt))
}

/** Returns the same for a process that was restarted after an exit, and 0 for any other, whose start must not be delayed. */
export function restartSettlesInMs(managed: Settling, now: number): number {
  return managed.state.type === 'running' && managed.state.attempt > 0 ? settlesInMs(managed, now) : 0
}

/** Returns the milliseconds after which `reconcile` can have further actions without an event; null if it cannot. */
export function reconcileInMs<P extends ReconciledProcess>({
  graph,
  announced,
  phase,
  now,
}: Snapshot<P>): number | null {
  if (announced === 'ready' || phase === 'stopping' || phase === 'killed') return null
  const waits = graph.all.map((managed) => restartSettlesInMs(managed, now)).filter((ms) => ms > 0)
  return waits.length === 0 ? null : Math.ceil(Math.min(...waits))
}
