import { describe, expect, it } from 'vitest'
import {
  LIMITED,
  orchestratorRig,
  recorder,
  settle,
  stored,
  testGateway,
  untilAborted,
} from '../../../test/rig/gateways/orchestrator-rig.ts'
import { GatewayConfigError } from '../errors.ts'
import type { GatewayRun } from './gateway-process.ts'

describe('a gateway of the GatewayOrchestrator that fails or stops', () => {
  it('G-9: retries without end, reports once that the gateway is failing, and returns to the first delay after success', async () => {
    let attempts = 0
    let isUp = false
    const { clock, store, events, load } = orchestratorRig(async (run) => {
      attempts += 1
      if (isUp) run.succeeded()
      throw new Error('no broker')
    })
    await load(testGateway('a'))
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
    const { clock, store, load } = orchestratorRig(async (run) => {
      runs.push(run)
      if (runs.length <= 4) throw new Error('no broker')
      await untilAborted(run.signal)
    })
    await load(testGateway('a'))
    for (let round = 0; round < 8; round += 1) await clock.advance(10_000)
    expect(runs).toHaveLength(5)
    expect(store.get('a')?.status.state).toBe('failing')
    runs[4]?.succeeded()
    expect(store.get('a')?.status).toMatchObject({ state: 'running', failures: 0 })
  })

  it('G-9: stops retrying after the limit if the policy says so', async () => {
    let attempts = 0
    const { clock, store, events, load } = orchestratorRig(async (run) => {
      attempts += 1
      if (attempts === 3) run.succeeded()
      throw new Error('no broker')
    }, LIMITED)
    await load(testGateway('a'))
    for (let round = 0; round < 20; round += 1) await clock.advance(10_000)
    expect(attempts).toBe(6)
    expect(store.get('a')?.status).toMatchObject({ state: 'failed', failures: 4, lastError: 'no broker' })
    expect(events.filter((event) => event !== 'a retrying')).toEqual(['a running', 'a failed'])
  })

  it('G-9 retries a runner that ends early, but not an invalid config', async () => {
    const ended = orchestratorRig(async () => undefined)
    await ended.load(testGateway('a'))
    await settle()
    expect(ended.events).toEqual(['a retrying'])

    const wrong = orchestratorRig(async () => {
      throw new GatewayConfigError('gateway_config: host is missing')
    })
    await wrong.load(testGateway('a'))
    await settle()
    expect(wrong.events).toEqual(['a failed'])
  })

  it('G-9 G-10 a stop ends the retry delay immediately, and no process starts afterwards', async () => {
    let attempts = 0
    const { orchestrator, clock, events, load } = orchestratorRig(async () => {
      attempts += 1
      throw new Error('no broker')
    })
    await load(testGateway('a'))
    await settle()
    await orchestrator.stop()
    expect(events).toEqual(['a retrying', 'a stopped'])
    await clock.advance(60_000)
    expect(attempts).toBe(1)
    await expect(orchestrator.handle(stored('b'))).rejects.toThrow('stopping')
  })

  it('G-10 stops all processes concurrently and abandons one that hangs', async () => {
    const { orchestrator, clock, events, load } = orchestratorRig(() => new Promise<void>(() => undefined))
    await load(testGateway('a'), testGateway('b'))
    const stopped = orchestrator.stop()
    await settle()
    await clock.advance(5_000)
    await stopped
    expect(events).toEqual(['a abandoned', 'b abandoned'])
  })

  it('G-10: stops all processes immediately while another one is being replaced and hangs', async () => {
    const runs: GatewayRun[] = []
    const { orchestrator, clock, events, load } = orchestratorRig(async (run) => {
      runs.push(run)
      if (run.gateway.gatewayId === 'hanging') await new Promise<void>(() => undefined)
      await untilAborted(run.signal)
    })
    await load(testGateway('hanging'), testGateway('b'))
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

  it('G-17: reports messages that cannot be envelopes, and keeps their count until the process ends', async () => {
    const { runs, runner } = recorder()
    const { store, events, load } = orchestratorRig(runner)
    await load(testGateway('a'))
    for (const error of ['no device x', 'no device y']) runs[0]?.refused('unknown_device', error)
    expect(store.get('a')?.status).toMatchObject({ refused: { unknown_device: 2 }, lastError: 'no device y' })
    expect(events).toEqual(['a running', 'a refused'])
    await store.get('a')?.stop(5_000)
    runs[0]?.refused('unknown_device', 'too late')
    expect(store.get('a')?.status).toMatchObject({ refused: { unknown_device: 2 }, lastError: 'no device y' })
  })

  it('G-14 reports messages, the last error and the state', async () => {
    const { runs, runner } = recorder()
    const { store, load } = orchestratorRig(runner)
    await load(testGateway('a'))
    runs[0]?.received()
    runs[0]?.received()
    expect(store.get('a')?.status).toEqual({
      state: 'running',
      sinceMs: 0,
      startedAtMs: 0,
      failures: 0,
      lastError: null,
      connectedTo: null,
      messages: 2,
      events: {},
      refused: {},
    })
    runs[0]?.interrupted('the connection was closed')
    expect(store.get('a')?.status).toMatchObject({ state: 'interrupted', lastError: 'the connection was closed' })
  })

  it('G-14: the last error of a gateway that cannot run is the reason', async () => {
    const { store, load } = orchestratorRig(() => Promise.reject(new GatewayConfigError('port: expected a number')))
    await load(testGateway('a'))
    await expect
      .poll(() => store.get('a')?.status)
      .toMatchObject({ state: 'failed', lastError: 'port: expected a number' })
  })
})
