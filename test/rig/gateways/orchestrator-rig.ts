import type { Gateway } from '../../../src/domain/entities.ts'
import type { GatewayTable } from '../../../src/domain/ports.ts'
import type { GatewayEvent } from '../../../src/domain/gateway-orchestration/desired-gateways.ts'
import {
  GatewayOrchestrator,
  MemoryGatewayProcessStore,
} from '../../../src/domain/gateway-orchestration/gateway-orchestrator.ts'
import type {
  GatewayProcessEvent,
  GatewayRun,
  GatewayRunner,
} from '../../../src/domain/gateway-orchestration/gateway-process.ts'
import type { RetryPolicy } from '../../../src/domain/gateway-orchestration/retry.ts'

/** Returns a row of a gateway of the type `fake`. */
export const testGateway = (gatewayId: string, change: Partial<Gateway> = {}): Gateway => ({
  gatewayId,
  organizationId: 'o1',
  name: '',
  gatewayType: 'fake',
  gatewayConfig: {},
  status: 'active',
  createdAt: 1n,
  updatedAt: 10n,
  deletedAt: null,
  ...change,
})

/** A virtual clock. */
class Clock {
  #now = 0
  #sleepers: { at: number; wake: () => void }[] = []

  readonly now = (): number => this.#now
  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new Error('aborted'))
      signal.addEventListener('abort', onAbort, { once: true })
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      this.#sleepers.push({ at: this.#now + ms, wake })
    })

  async advance(ms: number): Promise<void> {
    this.#now += ms
    for (const sleeper of this.#sleepers.filter(({ at }) => at <= this.#now)) sleeper.wake()
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now)
    await settle()
  }
}

/** Runs all pending microtasks. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

export const ENDLESS: RetryPolicy = { delayMs: 10_000, maxAttempts: 3, stopsWhenFailing: false }
export const LIMITED: RetryPolicy = { ...ENDLESS, stopsWhenFailing: true }

/** A GatewayOrchestrator with one runner, of the type `fake`, on a virtual clock. */
export function orchestratorRig(
  runner: GatewayRunner,
  retry = ENDLESS,
  owns: (gatewayId: string) => boolean = () => true,
  onChange: (gatewayId: string) => void = () => undefined,
) {
  const clock = new Clock()
  const store = new MemoryGatewayProcessStore()
  const events: string[] = []
  const orchestrator = new GatewayOrchestrator({
    store,
    runners: new Map([['fake', runner]]),
    retry,
    random: () => 0,
    owns,
    holds: owns,
    stopTimeoutMs: 5_000,
    nextTurn: settle,
    sleep: clock.sleep,
    nowMs: clock.now,
    onEvent: (of: Gateway, event: GatewayProcessEvent) => events.push(`${of.gatewayId} ${event.type}`),
    onChange,
  })
  const load = (...gateways: readonly Gateway[]) =>
    orchestrator.synchronize(table(100n, ...gateways), new AbortController().signal)
  return { clock, store, events, orchestrator, load }
}

/** The rows of the table at a position of the log. */
export function table(lsn: bigint, ...gateways: readonly Gateway[]): GatewayTable {
  return {
    readPoint: async () => ({ type: 'read', lsn, inProgress: new Set() }),
    async *versions() {
      yield gateways
    },
    getAll: async (ids) => gateways.filter(({ gatewayId }) => ids.includes(gatewayId)),
  }
}

/** The event of a commit after position 100, in the order of `updatedAt`. */
export function stored(id: string, change: Partial<Gateway> = {}): GatewayEvent {
  const row = testGateway(id, change)
  return {
    type: 'stored',
    gateway: row,
    version: { type: 'commit', lsn: 100n + row.updatedAt, index: 0, transactionId: 1 },
  }
}

/** A runner that succeeds and runs until it is stopped, and its runs. */
export function recorder() {
  const runs: GatewayRun[] = []
  const runner: GatewayRunner = async (run) => {
    runs.push(run)
    run.succeeded()
    await untilAborted(run.signal)
  }
  return { runs, runner }
}
