import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { GatewayConnectionReport, GatewayConnectionStore } from '../../src/domain/gateway-connection.ts'
import type { GatewayRun } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { orchestratorRig, recorder, settle, stored, testGateway } from '../../test/rig/gateways/orchestrator-rig.ts'
import { ConnectionReports } from './connection-reports.ts'

const ROUND_MS = 1_000

/** Records the reports; rejects while `isAway`. */
class RecordedConnections implements GatewayConnectionStore {
  readonly reports: GatewayConnectionReport[] = []
  readonly removed: string[] = []
  isAway = false
  #epoch = 0n

  beat = async (): Promise<void> => undefined
  leave = async (): Promise<void> => undefined
  nextEpoch = async (): Promise<bigint> => ++this.#epoch

  async report(_instance: string, reports: readonly GatewayConnectionReport[]): Promise<ReadonlySet<string>> {
    this.#check()
    this.reports.push(...reports)
    return new Set()
  }

  async remove(epochs: ReadonlyMap<string, bigint>): Promise<void> {
    this.#check()
    this.removed.push(...epochs.keys())
  }

  #check(): void {
    if (this.isAway) throw new Error('away')
  }
}

/** The reports of gateways that run, on a virtual clock. */
async function reportsOf(ids: readonly string[], owns = (): boolean => true) {
  const { runs, runner } = recorder()
  const rig = orchestratorRig(runner, undefined, undefined, (gatewayId) => reports.note(gatewayId))
  const connections = new RecordedConnections()
  const { store, clock } = rig
  const { now: nowMs, sleep } = clock
  const logger = pino({ level: 'silent' })
  const reports = new ConnectionReports({ store, connections, instance: 'i', owns, nowMs, sleep, logger })
  await rig.load(...ids.map((id) => testGateway(id)))
  const end = new AbortController()
  const ended = reports.run(end.signal)
  onTestFinished(async () => {
    end.abort()
    await ended
  })
  await settle()
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round += 1) await clock.advance(ROUND_MS)
  }
  return { ...rig, runs, connections, rounds }
}

function runOf(runs: readonly GatewayRun[], gatewayId: string): GatewayRun {
  const run = runs.find(({ gateway }) => gateway.gatewayId === gatewayId)
  if (run === undefined) throw new Error(`${gatewayId} does not run`)
  return run
}

test('G-12: no gateway is read while none changes', async () => {
  const { store, connections, rounds } = await reportsOf(['a', 'b'])
  expect(connections.reports.map(({ gatewayId }) => gatewayId)).toEqual(['a', 'b'])
  const reads = (['list', 'get', 'exists'] as const).map((method) => vi.spyOn(store, method))
  await rounds(30)
  expect(reads.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0])
})

test('G-14: the messages of a minute are one report of their gateway', async () => {
  const { runs, connections, rounds } = await reportsOf(['a', 'b'])
  const run = runOf(runs, 'b')
  for (let count = 0; count < 59; count += 1) {
    run.received()
    await rounds(1)
  }
  expect(connections.reports).toHaveLength(2)
  await rounds(1)
  run.received()
  await rounds(1)
  expect(connections.reports.slice(2)).toMatchObject([{ gatewayId: 'b', messages: 59 }])
})

test('G-14: a connection that is lost is reported when it lasts, and a connection that returns before is not', async () => {
  const { runs, connections, rounds } = await reportsOf(['a', 'b'])
  runOf(runs, 'a').interrupted('lost')
  runOf(runs, 'b').interrupted('lost')
  await rounds(3)
  runOf(runs, 'b').succeeded()
  await rounds(3)
  expect(connections.reports.slice(2)).toMatchObject([
    { gatewayId: 'b', state: 'running', epoch: 1n },
    { gatewayId: 'a', state: 'interrupted', epoch: 1n },
  ])
})

test('G-14: what PostgreSQL did not store is stored when it is back, the newest state once', async () => {
  const { runs, orchestrator, connections, rounds } = await reportsOf(['a', 'b'])
  connections.isAway = true
  await orchestrator.handle(stored('a', { updatedAt: 11n, deletedAt: 11n }))
  await orchestrator.handle(stored('c', { updatedAt: 12n }))
  await rounds(3)
  runOf(runs, 'c').refused('invalid_topic', 'wrong')
  connections.isAway = false
  await rounds(3)
  expect(connections.removed).toEqual(['a'])
  expect(connections.reports.slice(2)).toMatchObject([{ gatewayId: 'c', lastError: 'wrong', refused: 1 }])
})

test('G-14: a gateway whose lease is uncertain is reported when this instance owns it', async () => {
  let isOwned = false
  const { connections, rounds } = await reportsOf(['a'], () => isOwned)
  await rounds(3)
  expect(connections.reports).toEqual([])
  isOwned = true
  await rounds(1)
  expect(connections.reports).toMatchObject([{ gatewayId: 'a', state: 'running' }])
})

test('G-14: an unchanged state is reported again after five minutes', async () => {
  const { connections, rounds } = await reportsOf(['a'])
  await rounds(299)
  expect(connections.reports).toHaveLength(1)
  await rounds(1)
  expect(connections.reports).toHaveLength(2)
})
