import { describe, expect, it } from 'vitest'
import type { Gateway } from '../entities.ts'
import { GatewayConfigError } from '../errors.ts'
import type { GatewayTable } from '../ports.ts'
import type { GatewayEvent } from './desired-gateways.ts'
import { GatewayOrchestrator, MemoryGatewayProcessStore } from './gateway-orchestrator.ts'
import type { GatewayProcessEvent, GatewayRun, GatewayRunner } from './gateway-process.ts'
import type { RetryPolicy } from './retry.ts'

const gateway = (gatewayId: string, change: Partial<Gateway> = {}): Gateway => ({
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
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
      this.#sleepers.push({ at: this.#now + ms, wake: resolve })
    })

  async advance(ms: number): Promise<void> {
    this.#now += ms
    for (const sleeper of this.#sleepers.filter(({ at }) => at <= this.#now)) sleeper.wake()
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now)
    await settle()
  }
}

/** Runs all pending microtasks. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

const ENDLESS: RetryPolicy = { delayMs: 10_000, maxAttempts: 3, stopsWhenFailing: false }
const LIMITED: RetryPolicy = { ...ENDLESS, stopsWhenFailing: true }

function rig(runner: GatewayRunner, retry = ENDLESS, owns: (gatewayId: string) => boolean = () => true) {
  const clock = new Clock()
  const store = new MemoryGatewayProcessStore()
  const events: string[] = []
  const orchestrator = new GatewayOrchestrator({
    store,
    runners: new Map([['fake', runner]]),
    retry,
    random: () => 0,
    owns,
    stopTimeoutMs: 5_000,
    sleep: clock.sleep,
    nowMs: clock.now,
    onEvent: (of: Gateway, event: GatewayProcessEvent) => events.push(`${of.gatewayId} ${event.type}`),
  })
  const load = (...gateways: readonly Gateway[]) =>
    orchestrator.synchronize(table(100n, ...gateways), new AbortController().signal)
  return { clock, store, events, orchestrator, load }
}

/** The rows of the table at a position of the log. */
function table(lsn: bigint, ...gateways: readonly Gateway[]): GatewayTable {
  return {
    readPoint: async () => ({ type: 'read', lsn, inProgress: new Set() }),
    async *versions() {
      yield gateways
    },
    getAll: async (ids) => gateways.filter(({ gatewayId }) => ids.includes(gatewayId)),
  }
}

/** The event of a commit after position 100, in the order of `updatedAt`. */
function stored(id: string, change: Partial<Gateway> = {}): GatewayEvent {
  const row = gateway(id, change)
  return {
    type: 'stored',
    gateway: row,
    version: { type: 'commit', lsn: 100n + row.updatedAt, index: 0, transactionId: 1 },
  }
}

function recorder() {
  const runs: GatewayRun[] = []
  const runner: GatewayRunner = async (run) => {
    runs.push(run)
    run.succeeded()
    await untilAborted(run.signal)
  }
  return { runs, runner }
}

describe('GatewayOrchestrator', () => {
  it('G-1 starts one process per gateway; one that cannot start does not stop the others', async () => {
    const { runs, runner } = recorder()
    const { store, load } = rig(runner)
    await load(gateway('a'), gateway('b', { gatewayType: 'unknown' }), gateway('c'))
    await settle()
    expect(runs.map((run) => run.gateway.gatewayId)).toEqual(['a', 'c'])
    expect(store.count()).toBe(3)
    expect(store.get('b')?.status).toMatchObject({ state: 'failed', lastError: expect.stringContaining('unknown') })
  })

  it('G-1 does not apply an event twice that arrives while the gateways are loaded', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, load } = rig(runner)
    await orchestrator.handle(stored('a'))
    await load(gateway('a'))
    expect(runs).toHaveLength(1)
  })

  it('G-3 stops the old run before the new one starts on a changed config', async () => {
    const log: string[] = []
    const { orchestrator, load } = rig(async (run) => {
      log.push(`start ${JSON.stringify(run.gateway.gatewayConfig['v'])}`)
      await untilAborted(run.signal)
      await settle()
      log.push(`end ${JSON.stringify(run.gateway.gatewayConfig['v'])}`)
    })
    await load(gateway('a', { gatewayConfig: { v: 1 } }))
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 2 }, updatedAt: 11n }))
    expect(log).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('G-3 compares with the running config after an update without changes', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, load } = rig(runner)
    await load(gateway('a', { gatewayConfig: { v: 1 } }))
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 1 }, updatedAt: 11n }))
    expect(runs).toHaveLength(1)
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 2 }, updatedAt: 12n }))
    expect(runs).toHaveLength(2)
  })

  it('G-3 G-4 G-5 a removed gateway ignores older events and starts again on a newer one', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, store, load } = rig(runner)
    await load(gateway('a'))
    await orchestrator.handle(stored('a', { updatedAt: 20n, deletedAt: 20n }))
    expect(store.exists('a')).toBe(false)
    await orchestrator.handle(stored('a', { updatedAt: 19n }))
    expect(store.exists('a')).toBe(false)
    await orchestrator.handle(stored('a', { updatedAt: 21n }))
    expect(runs).toHaveLength(2)
  })

  it('G-5 runs the newest of the events that arrive during a stop, without blocking other gateways', async () => {
    const log: string[] = []
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => (release = resolve))
    const { orchestrator, load } = rig(async (run) => {
      const { gatewayId, gatewayConfig } = run.gateway
      log.push(`start ${gatewayId}${JSON.stringify(gatewayConfig['v'])}`)
      await untilAborted(run.signal)
      if (gatewayId === 'a' && gatewayConfig['v'] === 1) await gate
      log.push(`end ${gatewayId}${JSON.stringify(gatewayConfig['v'])}`)
    })
    await load(gateway('a', { gatewayConfig: { v: 1 } }))
    const handled = [2, 3].map((v) =>
      orchestrator.handle(stored('a', { gatewayConfig: { v }, updatedAt: BigInt(10 + v) })),
    )
    await orchestrator.handle(stored('b', { gatewayConfig: { v: 1 } }))
    expect(log).toEqual(['start a1', 'start b1'])
    release()
    await Promise.all(handled)
    expect(log).toEqual(['start a1', 'start b1', 'end a1', 'start a3'])
  })

  it('B-10 synchronizes with the rows: starts, restarts and stops what differs, and returns how many', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, store, load } = rig(runner)
    expect(await load(gateway('same'), gateway('changed'), gateway('gone'))).toBe(3)
    await orchestrator.handle(stored('newer', { updatedAt: 50n }))
    const changed = gateway('changed', { updatedAt: 11n, gatewayConfig: { v: 2 } })
    const rows = table(120n, gateway('same'), changed, gateway('missed'))
    expect(await orchestrator.synchronize(rows, new AbortController().signal)).toBe(3)
    const served = store.list().map((process) => process.gateway.gatewayId)
    expect(served.sort()).toEqual(['changed', 'missed', 'newer', 'same'])
    expect(runs.slice(4).map((run) => [run.gateway.gatewayId, run.gateway.gatewayConfig])).toEqual([
      ['missed', {}],
      ['changed', { v: 2 }],
    ])
    expect(await orchestrator.synchronize(rows, new AbortController().signal)).toBe(0)
  })

  it('G-9: retries without end, reports once that the gateway is failing, and returns to the first delay after success', async () => {
    let attempts = 0
    let isUp = false
    const { clock, store, events, load } = rig(async (run) => {
      attempts += 1
      if (isUp) run.succeeded()
      throw new Error('no broker')
    })
    await load(gateway('a'))
    await settle()
    // The random number 0 halves every delay but the first.
    for (const [index, delayMs] of [10_000, 10_000, 20_000, 30_000, 30_000, 30_000].entries()) {
      expect(store.get('a')?.status.state).toBe(index < 3 ? 'retrying' : 'failing')
      await clock.advance(delayMs - 1)
      expect(attempts).toBe(index + 1)
      await clock.advance(1)
      expect(attempts).toBe(index + 2)
    }
    expect(store.get('a')?.status).toMatchObject({ state: 'failing', failures: 7, lastError: 'no broker' })
    expect(events).toEqual(['a retrying', 'a retrying', 'a retrying', 'a failing'])
    isUp = true
    await clock.advance(30_000)
    expect(store.get('a')?.status).toMatchObject({ state: 'retrying', failures: 1 })
    await clock.advance(10_000)
    expect(attempts).toBe(9)
    expect(events.slice(4)).toEqual(['a running', 'a retrying', 'a running', 'a retrying'])
  })

  it('G-9: a failing gateway is failing during its attempts, too, until it runs', async () => {
    const runs: GatewayRun[] = []
    const { clock, store, load } = rig(async (run) => {
      runs.push(run)
      if (runs.length <= 4) throw new Error('no broker')
      await untilAborted(run.signal)
    })
    await load(gateway('a'))
    for (let round = 0; round < 8; round += 1) await clock.advance(10_000)
    expect(runs).toHaveLength(5)
    expect(store.get('a')?.status.state).toBe('failing')
    runs[4]?.succeeded()
    expect(store.get('a')?.status).toMatchObject({ state: 'running', failures: 0 })
  })

  it('G-9: stops retrying after the limit if the policy says so', async () => {
    let attempts = 0
    const { clock, store, events, load } = rig(async (run) => {
      attempts += 1
      if (attempts === 3) run.succeeded()
      throw new Error('no broker')
    }, LIMITED)
    await load(gateway('a'))
    for (let round = 0; round < 20; round += 1) await clock.advance(10_000)
    expect(attempts).toBe(6)
    expect(store.get('a')?.status).toMatchObject({ state: 'failed', failures: 4, lastError: 'no broker' })
    expect(events.filter((event) => event !== 'a retrying')).toEqual(['a running', 'a failed'])
  })

  it('G-9 retries a runner that ends early, but not an invalid config', async () => {
    const ended = rig(async () => undefined)
    await ended.load(gateway('a'))
    await settle()
    expect(ended.events).toEqual(['a retrying'])

    const wrong = rig(async () => {
      throw new GatewayConfigError('gateway_config: host is missing')
    })
    await wrong.load(gateway('a'))
    await settle()
    expect(wrong.events).toEqual(['a failed'])
  })

  it('G-9 G-10 a stop ends the retry delay immediately, and no process starts afterwards', async () => {
    let attempts = 0
    const { orchestrator, clock, events, load } = rig(async () => {
      attempts += 1
      throw new Error('no broker')
    })
    await load(gateway('a'))
    await settle()
    await orchestrator.stop()
    expect(events).toEqual(['a retrying', 'a stopped'])
    await clock.advance(60_000)
    expect(attempts).toBe(1)
    await expect(orchestrator.handle(stored('b'))).rejects.toThrow('stopping')
  })

  it('G-10 stops all processes concurrently and abandons one that hangs', async () => {
    const { orchestrator, clock, events, load } = rig(() => new Promise<void>(() => undefined))
    await load(gateway('a'), gateway('b'))
    const stopped = orchestrator.stop()
    await settle()
    await clock.advance(5_000)
    await stopped
    expect(events).toEqual(['a abandoned', 'b abandoned'])
  })

  it('G-10: stops all processes immediately while another one is being replaced and hangs', async () => {
    const runs: GatewayRun[] = []
    const { orchestrator, clock, events, load } = rig(async (run) => {
      runs.push(run)
      if (run.gateway.gatewayId === 'hanging') await new Promise<void>(() => undefined)
      await untilAborted(run.signal)
    })
    await load(gateway('hanging'), gateway('b'))
    const replaced = orchestrator.handle(stored('hanging', { gatewayConfig: { v: 2 }, updatedAt: 11n }))
    await settle()
    const stopped = orchestrator.stop()
    await settle()
    expect(events).toEqual(['b stopped'])
    await clock.advance(5_000)
    await Promise.all([stopped, replaced])
    expect(events).toEqual(['b stopped', 'hanging abandoned'])
    expect(runs).toHaveLength(2)
  })

  it('G-13: runs only gateways that it owns, and follows a change of the owner', async () => {
    const { runs, runner } = recorder()
    const owned = new Set(['a'])
    const { orchestrator, store, load } = rig(runner, ENDLESS, (id) => owned.has(id))
    await load(gateway('a'), gateway('b'))
    await orchestrator.handle(stored('b', { updatedAt: 11n, gatewayConfig: { v: 2 } }))
    expect(runs.map((run) => run.gateway.gatewayId)).toEqual(['a'])
    owned.clear()
    owned.add('b')
    await orchestrator.reconcileWhere(() => true)
    expect(runs.map((run) => [run.gateway.gatewayId, run.gateway.gatewayConfig])).toEqual([
      ['a', {}],
      ['b', { v: 2 }],
    ])
    expect(store.list().map((process) => process.gateway.gatewayId)).toEqual(['b'])
  })

  it('G-13: a runner whose gateway another instance may run must not publish, even before it is stopped, and no attempt starts', async () => {
    const owned = new Set(['a', 'b'])
    const runs: GatewayRun[] = []
    const { clock, store, load } = rig(
      async (run) => {
        runs.push(run)
        if (run.gateway.gatewayId === 'b') throw new Error('no broker')
        await untilAborted(run.signal)
      },
      ENDLESS,
      (id) => owned.has(id),
    )
    await load(gateway('a'), gateway('b'))
    await settle()
    expect(() => runs[0]?.assertOwned()).not.toThrow()
    owned.clear()
    expect(() => runs[0]?.assertOwned()).toThrow('another instance may run the gateway')
    await clock.advance(10_000)
    expect(runs).toHaveLength(2)
    expect(store.get('b')?.status.lastError).toBe('another instance may run the gateway')
    owned.add('a')
    const stopped = store.get('a')?.stop(5_000)
    expect(() => runs[0]?.assertOwned()).not.toThrow()
    await stopped
    expect(() => runs[0]?.assertOwned()).toThrow('has ended')
  })

  it('G-17: reports messages that cannot be envelopes, and keeps their count until the process ends', async () => {
    const { runs, runner } = recorder()
    const { store, events, load } = rig(runner)
    await load(gateway('a'))
    for (const error of ['no device x', 'no device y']) runs[0]?.refused('unknown_device', error)
    expect(store.get('a')?.status).toMatchObject({ refused: { unknown_device: 2 }, lastError: 'no device y' })
    expect(events).toEqual(['a running', 'a refused'])
    await store.get('a')?.stop(5_000)
    runs[0]?.refused('unknown_device', 'too late')
    expect(store.get('a')?.status).toMatchObject({ refused: { unknown_device: 2 }, lastError: 'no device y' })
  })

  it('G-14 reports messages, the last error and the state', async () => {
    const { runs, runner } = recorder()
    const { store, load } = rig(runner)
    await load(gateway('a'))
    runs[0]?.received()
    runs[0]?.received()
    expect(store.get('a')?.status).toEqual({
      state: 'running',
      sinceMs: 0,
      startedAtMs: 0,
      failures: 0,
      lastError: null,
      messages: 2,
      events: {},
      refused: {},
    })
    runs[0]?.interrupted('the connection was closed')
    expect(store.get('a')?.status).toMatchObject({ state: 'interrupted', lastError: 'the connection was closed' })
  })
})
