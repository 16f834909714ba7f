import type { ReconciledProcess, Snapshot } from './snapshot.ts'

/** The uptime from which a service without a readiness probe counts as ready: many wrong configurations exit earlier. */
export const READY_AFTER_MS = 1000

/** Returns whether only the uptime of a process shows that it is ready. */
function dependsOnTime({ kind, readinessProbe }: ReconciledProcess['definition']): boolean {
  return kind === 'service' && readinessProbe === null
}

type Settling = Pick<ReconciledProcess, 'definition' | 'state' | 'startedAt'>

/** Returns the milliseconds until a running service without a readiness probe counts as ready; 0 if it does not depend on time. */
export function settlesInMs({ definition, state, startedAt }: Settling, now: number): number {
  if (state.type !== 'running' || startedAt === null || !dependsOnTime(definition)) return 0
  return Math.max(0, READY_AFTER_MS - (now - startedAt))
}

/** Returns the same for a process that was restarted after an exit, and 0 for any other, whose start must not be delayed. */
export function restartSettlesInMs(managed: Settling, now: number): number {
  return managed.state.type === 'running' && managed.state.attempt > 0 ? settlesInMs(managed, now) : 0
}

/** Returns whether an exit refutes that all processes are ready: that of a service without a probe, shortly after its start. */
export function refutesReadiness(
  { definition, goal }: Pick<ReconciledProcess, 'definition' | 'goal'>,
  exit: { readonly uptimeMs: number; readonly sinceAnnouncedMs: number },
): boolean {
  return (
    dependsOnTime(definition) &&
    goal.type === 'up' &&
    exit.uptimeMs < READY_AFTER_MS &&
    exit.sinceAnnouncedMs < READY_AFTER_MS
  )
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
