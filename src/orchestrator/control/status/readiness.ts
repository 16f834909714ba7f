import { isReady } from '../../supervisor/goals.ts'
import type { ManagedProcess } from '../../supervisor/managed-process.ts'
import { restartSettlesInMs } from '../../supervisor/rules/settling.ts'

/** The answer of `GET /readyz`. */
export interface Readiness {
  /** True if every process that is not left out is ready or completed, and the orchestrator does not stop. */
  readonly ready: boolean
  readonly stopping: boolean
  readonly not_ready: readonly {
    readonly name: string
    readonly state: string
    /** As `detail` of the status. */
    readonly detail: string | null
  }[]
}

/** Returns the readiness of all processes together. A service in a crash loop is not ready between two exits. */
export function readinessOf(
  { graph, isStopping }: { readonly graph: { readonly all: readonly ManagedProcess[] }; readonly isStopping: boolean },
  detailOf: (name: string) => string | null,
): Readiness {
  const now = performance.now()
  const isMissing = (managed: ManagedProcess) =>
    managed.state.type !== 'disabled' && (!isReady(managed) || restartSettlesInMs(managed, now) > 0)
  const missing = graph.all.filter(isMissing)
  return {
    ready: missing.length === 0 && !isStopping,
    stopping: isStopping,
    not_ready: missing.map(({ name, state }) => ({ name, state: state.type, detail: detailOf(name) })),
  }
}
