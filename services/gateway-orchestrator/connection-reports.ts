import { messageOf } from '../../src/domain/errors.ts'
import type { GatewayConnectionReport, GatewayConnectionStore } from '../../src/domain/gateway-connection.ts'
import {
  reportDueAtMs,
  type Reported,
  ReportSchedule,
} from '../../src/domain/gateway-orchestration/connection-report.ts'
import type { GatewayProcessStore } from '../../src/domain/gateway-orchestration/gateway-orchestrator.ts'
import type { GatewayProcess, GatewayProcessStatus } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { shortened } from '../../src/nats/dead-letters.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

export interface ConnectionReportsParts {
  readonly store: GatewayProcessStore
  readonly connections: GatewayConnectionStore
  /** Unique for each start of the program. */
  readonly instance: string
  readonly owns: (gatewayId: string) => boolean
  readonly nowMs: () => number
  /** Resolves after the time, rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly logger: Logger
}

const ROUND_INTERVAL_MS = 1_000
const BEAT_INTERVAL_MS = 10_000
const BATCH_SIZE = 1_000
const LEAVE_TIMEOUT_MS = 2_000

interface ReportedProcess extends Reported {
  readonly process: GatewayProcess
  readonly epoch: bigint
}

/**
 * Stores the connections of the gateways of this instance, in rounds and in batches. A round visits the gateways that have changed since
 * the last one, and those whose report has become due; without any it costs nothing, however many gateways there are.
 *
 * The first report of a process has a new epoch, which is read while this instance owns the gateway. An instance that takes a gateway
 * over later therefore has a later epoch, and no delayed statement of this instance can replace its reports (a fencing token,
 * Kleppmann, "How to do distributed locking", 2016).
 */
export class ConnectionReports {
  readonly #parts: ConnectionReportsParts
  readonly #reported = new Map<string, ReportedProcess>()
  /** The gateways that the next round visits. */
  readonly #changed = new Set<string>()
  readonly #schedule = new ReportSchedule()
  #beatAtMs = -Infinity
  #failing = false

  constructor(parts: ConnectionReportsParts) {
    this.#parts = parts
  }

  /** Call it when the process of a gateway has changed or is removed. */
  note(gatewayId: string): void {
    this.#changed.add(gatewayId)
  }

  /** Reports until the signal aborts. A round that fails is repeated; a series of failures is logged once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#round(signal)
        this.#failing = false
      } catch (error) {
        if (!this.#failing && !signal.aborted)
          this.#parts.logger.warn(`cannot store the states of gateways: ${messageOf(error)}; retrying`)
        this.#failing = true
      }
      await this.#parts.sleep(ROUND_INTERVAL_MS, signal).catch(() => undefined)
    }
  }

  /** Makes the connections of this instance unknown. Without it, they are unknown half a minute later. */
  async close(): Promise<void> {
    const { connections, instance } = this.#parts
    await connections.leave(instance, { signal: timeoutSignal(LEAVE_TIMEOUT_MS) }).catch(() => undefined)
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { connections, instance, nowMs } = this.#parts
    if (nowMs() >= this.#beatAtMs) {
      await connections.beat(instance, { signal })
      this.#beatAtMs = nowMs() + BEAT_INTERVAL_MS
    }
    const visited = [...this.#changed, ...this.#schedule.take(nowMs())]
    this.#changed.clear()
    try {
      await this.#visit(new Set(visited), signal)
    } catch (error) {
      for (const gatewayId of visited) this.#changed.add(gatewayId)
      throw error
    }
  }

  async #visit(gatewayIds: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { store, connections, nowMs } = this.#parts
    const ended: string[] = []
    const due: GatewayProcess[] = []
    for (const gatewayId of gatewayIds) {
      const process = store.get(gatewayId)
      if (process === undefined) ended.push(gatewayId)
      else if (this.#dueAtMs(process) <= nowMs()) due.push(process)
      else this.#schedule.set(gatewayId, this.#dueAtMs(process))
    }
    await this.#remove(ended, signal)
    const hasNew = due.some((process) => this.#reportedOf(process) === null)
    const epoch = hasNew ? await connections.nextEpoch({ signal }) : 0n
    for (const batch of batches(due)) await this.#report(batch, epoch, signal)
  }

  #dueAtMs(process: GatewayProcess): number {
    return reportDueAtMs(this.#reportedOf(process), process.status)
  }

  #reportedOf(process: GatewayProcess): ReportedProcess | null {
    const reported = this.#reported.get(process.gateway.gatewayId)
    return reported?.process === process ? reported : null
  }

  async #remove(ended: readonly string[], signal: AbortSignal): Promise<void> {
    for (const gatewayId of ended) this.#schedule.delete(gatewayId)
    const reported = ended.flatMap((gatewayId) => {
      const epoch = this.#reported.get(gatewayId)?.epoch
      return epoch === undefined ? [] : [[gatewayId, epoch] as const]
    })
    for (const batch of batches(reported)) {
      await this.#parts.connections.remove(new Map(batch), { signal })
      for (const [gatewayId] of batch) this.#reported.delete(gatewayId)
    }
  }

  async #report(processes: readonly GatewayProcess[], newEpoch: bigint, signal: AbortSignal): Promise<void> {
    const { connections, instance, owns, nowMs } = this.#parts
    const atMs = nowMs()
    const next = processes
      .filter(({ gateway }) => owns(gateway.gatewayId))
      .map((process) => {
        const epoch = this.#reportedOf(process)?.epoch ?? newEpoch
        return { process, status: process.status, epoch, atMs }
      })
    const reports = next.flatMap(({ process, status, epoch }) => reportOf(process, status, epoch, atMs))
    const outdated = await connections.report(instance, reports, { signal })
    for (const reported of next) {
      const { gatewayId } = reported.process.gateway
      // Another instance had the gateway meanwhile: the next report needs a new epoch.
      if (outdated.has(gatewayId)) this.#reported.delete(gatewayId)
      else this.#reported.set(gatewayId, reported)
    }
    for (const process of processes) this.#schedule.set(process.gateway.gatewayId, this.#dueAtMs(process))
  }
}

function reportOf(
  { gateway }: GatewayProcess,
  status: GatewayProcessStatus,
  epoch: bigint,
  nowMs: number,
): GatewayConnectionReport[] {
  const { state, sinceMs, startedAtMs, lastError, failures, messages, refused } = status
  if (state === 'stopped') return []
  return [
    {
      gatewayId: gateway.gatewayId,
      epoch,
      state,
      stateAgeMs: nowMs - sinceMs,
      ageMs: nowMs - startedAtMs,
      lastError: lastError === null ? null : shortened(lastError),
      retries: failures,
      messages,
      refused: Object.values(refused).reduce((sum, count) => sum + count, 0),
    },
  ]
}

function* batches<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH_SIZE) yield items.slice(start, start + BATCH_SIZE)
}
