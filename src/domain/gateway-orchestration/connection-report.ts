import type { GatewayProcessStatus } from './gateway-process.ts'

/** A status that was reported, and when. */
export interface Reported {
  readonly status: GatewayProcessStatus
  readonly atMs: number
}

/** A start or a lost connection is reported if it takes longer, so that a restart does not change the status of all gateways. */
const TRANSITION_MS = 5_000
/** The interval in which counts and errors are reported, which can change with every message. */
const COUNTS_INTERVAL_MS = 60_000
/** The interval in which an unchanged status is reported again, which restores a report that was lost or overwritten. */
const REFRESH_INTERVAL_MS = 300_000

/** Returns the time from which the status of a gateway is to be reported; Infinity if it is not. */
export function reportDueAtMs(reported: Reported | null, status: GatewayProcessStatus): number {
  const { state, sinceMs } = status
  if (state === 'stopped') return Infinity
  const isTransition = state === 'starting' || state === 'interrupted'
  const stableAtMs = isTransition ? sinceMs + TRANSITION_MS : sinceMs
  if (reported === null || reported.status.state !== state || reported.status.sinceMs !== sinceMs) return stableAtMs
  return reported.atMs + (reported.status === status ? REFRESH_INTERVAL_MS : COUNTS_INTERVAL_MS)
}

const SLOT_MS = 1_000

/** The gateways whose next report is due later, in slots of a second: `take` visits slots, not gateways. */
export class ReportSchedule {
  readonly #slots = new Map<number, Set<string>>()
  readonly #slotOf = new Map<string, number>()

  /** Sets or replaces the time of a gateway's next report; it is due up to a second later. */
  set(gatewayId: string, atMs: number): void {
    this.delete(gatewayId)
    if (atMs === Infinity) return
    const slot = Math.ceil(atMs / SLOT_MS)
    const gatewayIds = this.#slots.get(slot) ?? new Set()
    this.#slots.set(slot, gatewayIds.add(gatewayId))
    this.#slotOf.set(gatewayId, slot)
  }

  delete(gatewayId: string): void {
    const slot = this.#slotOf.get(gatewayId)
    if (slot === undefined) return
    this.#slotOf.delete(gatewayId)
    const gatewayIds = this.#slots.get(slot)
    gatewayIds?.delete(gatewayId)
    if (gatewayIds?.size === 0) this.#slots.delete(slot)
  }

  /** Removes and returns the gateways whose time has come. */
  take(nowMs: number): readonly string[] {
    const due = [...this.#slots]
      .filter(([slot]) => slot * SLOT_MS <= nowMs)
      .flatMap(([, gatewayIds]) => [...gatewayIds])
    for (const gatewayId of due) this.delete(gatewayId)
    return due
  }
}
