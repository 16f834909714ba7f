import { describe, expect, it } from 'vitest'
import {
  ENDLESS,
  orchestratorRig,
  recorder,
  settle,
  stored,
  table,
  testGateway,
  untilAborted,
} from '../../../test/rig/gateways/orchestrator-rig.ts'
import type { GatewayRun, GatewayRunner } from './gateway-process.ts'

describe('GatewayOrchestrator', () => {
  it('G-1 starts one process per gateway; one that cannot start does not stop the others', async () => {
    const { runs, runner } = recorder()
    const { store, load } = orchestratorRig(runner)
    await load(testGateway('a'), testGateway('b', { gatewayType: 'unknown' }), testGateway('c'))
    await settle()
    expect(runs.map((run) => run.gateway.gatewayId)).toEqual(['a', 'c'])
    expect(store.count()).toBe(3)
    expect(store.get('b')?.status).toMatchObject({ state: 'failed', lastError: expect.stringContaining('unknown') })
  })

  it('G-1 does not apply an event twice that arrives while the gateways are loaded', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, load } = orchestratorRig(runner)
    await orchestrator.handle(stored('a'))
    await load(testGateway('a'))
    expect(runs).toHaveLength(1)
  })

  it('G-3 stops the old run before the new one starts on a changed config', async () => {
    const log: string[] = []
    const { orchestrator, load } = orchestratorRig(async (run) => {
      log.push(`start ${JSON.stringify(run.gateway.gatewayConfig['v'])}`)
      await untilAborted(run.signal)
      await settle()
      log.push(`end ${JSON.stringify(run.gateway.gatewayConfig['v'])}`)
    })
    await load(testGateway('a', { gatewayConfig: { v: 1 } }))
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 2 }, updatedAt: 11n }))
    expect(log).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('G-3 compares with the running config after an update without changes', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, load } = orchestratorRig(runner)
    await load(testGateway('a', { gatewayConfig: { v: 1 } }))
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 1 }, updatedAt: 11n }))
    expect(runs).toHaveLength(1)
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 2 }, updatedAt: 12n }))
    expect(runs).toHaveLength(2)
  })

  it('G-3 G-4 G-5 a removed gateway ignores older events and starts again on a newer one', async () => {
    const { runs, runner } = recorder()
    const { orchestrator, store, load } = orchestratorRig(runner)
    await load(testGateway('a'))
    await orchestrator.handle(stored('a', { updatedAt: 20n, deletedAt: 20n }))
    expect(store.exists('a')).toBe(false)
    await orchestrator.handle(stored('a', { updatedAt: 19n }))
    expect(store.exists('a')).toBe(false)
    await orchestrator.handle(stored('a', { updatedAt: 21n }))
    expect(runs).toHaveLength(2)
  })

  it('G-7 the store has the process of each gateway, with its config and its failures, until it is removed', async () => {
    const { runner } = recorder()
    const fails: GatewayRunner = async (run) =>
      await (run.gateway.gatewayId === 'b' ? Promise.reject(new Error('refused')) : runner(run))
    const { orchestrator, store, load } = orchestratorRig(fails)
    await load(testGateway('a', { gatewayConfig: { v: 1 } }), testGateway('b'))
    await settle()
    const state = () =>
      store.list().map(({ gateway, status }) => [gateway.gatewayId, status.state, status.failures, status.lastError])
    expect(state()).toEqual([
      ['a', 'running', 0, null],
      ['b', 'retrying', 1, 'refused'],
    ])
    const first = store.get('a')
    await orchestrator.handle(stored('a', { gatewayConfig: { v: 2 }, updatedAt: 11n }))
    await orchestrator.handle(stored('b', { updatedAt: 12n, deletedAt: 12n }))
    expect(state()).toEqual([['a', 'running', 0, null]])
    expect(store.get('a')?.fingerprint).not.toBe(first?.fingerprint)
    expect(first?.status.state).toBe('stopped')
    expect([store.count(), store.exists('a'), store.exists('b'), store.get('b')]).toEqual([1, true, false, undefined])
  })

  it('G-5 runs the newest of the events that arrive during a stop, without blocking other gateways', async () => {
    const log: string[] = []
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => (release = resolve))
    const { orchestrator, load } = orchestratorRig(async (run) => {
      const { gatewayId, gatewayConfig } = run.gateway
      log.push(`start ${gatewayId}${JSON.stringify(gatewayConfig['v'])}`)
      await untilAborted(run.signal)
      if (gatewayId === 'a' && gatewayConfig['v'] === 1) await gate
      log.push(`end ${gatewayId}${JSON.stringify(gatewayConfig['v'])}`)
    })
    await load(testGateway('a', { gatewayConfig: { v: 1 } }))
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
    const { orchestrator, store, load } = orchestratorRig(runner)
    expect(await load(testGateway('same'), testGateway('changed'), testGateway('gone'))).toBe(3)
    await orchestrator.handle(stored('newer', { updatedAt: 50n }))
    const changed = testGateway('changed', { updatedAt: 11n, gatewayConfig: { v: 2 } })
    const rows = table(120n, testGateway('same'), changed, testGateway('missed'))
    expect(await orchestrator.synchronize(rows, new AbortController().signal)).toBe(3)
    const served = store.list().map((process) => process.gateway.gatewayId)
    expect(served.sort()).toEqual(['changed', 'missed', 'newer', 'same'])
    expect(runs.slice(4).map((run) => [run.gateway.gatewayId, run.gateway.gatewayConfig])).toEqual([
      ['missed', {}],
      ['changed', { v: 2 }],
    ])
    expect(await orchestrator.synchronize(rows, new AbortController().signal)).toBe(0)
  })

  it('G-13: runs only gateways that it owns, and follows a change of the owner', async () => {
    const { runs, runner } = recorder()
    const owned = new Set(['a'])
    const { orchestrator, store, load } = orchestratorRig(runner, ENDLESS, (id) => owned.has(id))
    await load(testGateway('a'), testGateway('b'))
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

  it('G-12, G-13: starts many gateways in several turns of the event loop', async () => {
    const { runs, runner } = recorder()
    const owned = new Set<string>()
    const { orchestrator, load } = orchestratorRig(runner, ENDLESS, (id) => owned.has(id))
    const ids = Array.from({ length: 1000 }, (_, number) => `g${number}`)
    await load(...ids.map((id) => testGateway(id)))
    for (const id of ids) owned.add(id)
    const reconciled = orchestrator.reconcileWhere(() => true)
    await settle()
    expect(runs.length).toBeGreaterThan(0)
    expect(runs.length).toBeLessThan(ids.length)
    await reconciled
    expect(runs).toHaveLength(ids.length)
  })

  it('G-13: a runner whose gateway another instance may run must not publish, even before it is stopped, and no attempt starts', async () => {
    const owned = new Set(['a', 'b'])
    const runs: GatewayRun[] = []
    const { clock, store, load } = orchestratorRig(
      async (run) => {
        runs.push(run)
        if (run.gateway.gatewayId === 'b') throw new Error('no broker')
        await untilAborted(run.signal)
      },
      ENDLESS,
      (id) => owned.has(id),
    )
    await load(testGateway('a'), testGateway('b'))
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
})
