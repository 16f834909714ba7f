import type { SupervisorEvent } from '../events.ts'
import type { ExplainedProcess, ExplainedSnapshot } from './explain.ts'
import { Timer } from '../timers.ts'
import { isUnsettled, type Wait, waitsOf } from './waits.ts'

const FIRST_MS = 1000

/** The next report of a wait. It is void if the wait for the same cause has begun again since. */
export interface PlannedReport {
  readonly since: number
  readonly at: number
}

/** Keys are the causes of the waits. */
export type ReportPlan = ReadonlyMap<Wait['cause'], PlannedReport>

/** Returns the waits to report now, and the plan of the next reports: the first after a second, the others at their interval. */
export function planReports(
  waits: readonly Wait[],
  plan: ReportPlan,
  now: number,
): { readonly due: readonly Wait[]; readonly plan: ReportPlan } {
  const due: Wait[] = []
  const next = new Map<Wait['cause'], PlannedReport>()
  for (const wait of waits) {
    const { cause, since, everyMs } = wait
    const planned = plan.get(cause)
    const at = planned?.since === since ? planned.at : since + FIRST_MS
    if (now >= at) due.push(wait)
    next.set(cause, { since, at: now >= at ? now + everyMs : at })
  }
  return { due, plan: next }
}

/** Emits the events `waiting`. Its timer runs only while a process waits, or is waited for. */
export class WaitReporter {
  readonly #snapshot: () => ExplainedSnapshot<ExplainedProcess>
  readonly #emit: (event: SupervisorEvent) => void
  readonly #timer = new Timer()
  /** The time at which the timer fires. */
  #dueAt = Infinity
  #plan: ReportPlan = new Map()
  #hasEnded = false

  constructor(snapshot: () => ExplainedSnapshot<ExplainedProcess>, emit: (event: SupervisorEvent) => void) {
    this.#snapshot = snapshot
    this.#emit = emit
  }

  /** Ensures that a wait that has just begun is reported. Call it after every change. */
  update(): void {
    const latest = performance.now() + FIRST_MS
    if (this.#hasEnded || this.#dueAt <= latest) return
    const { graph, external } = this.#snapshot()
    if (external.state === 'checking' || graph.all.some(isUnsettled)) this.#schedule(latest)
  }

  end(): void {
    this.#hasEnded = true
    this.#timer.clear()
  }

  #schedule(at: number): void {
    this.#dueAt = at
    if (at === Infinity) this.#timer.clear()
    else this.#timer.set(Math.max(0, Math.ceil(at - performance.now())), () => this.#report())
  }

  #report(): void {
    const snapshot = this.#snapshot()
    const { due, plan } = planReports(waitsOf(snapshot), this.#plan, snapshot.now)
    this.#plan = plan
    this.#schedule(Math.min(...Array.from(plan.values(), ({ at }) => at)))
    for (const { cause, text, waiters } of due) this.#emit({ type: 'waiting', cause, text, waiters })
  }
}
