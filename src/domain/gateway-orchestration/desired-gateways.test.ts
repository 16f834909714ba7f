import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Gateway } from '../entities.ts'
import { DesiredGateways, type GatewayEvent } from './desired-gateways.ts'
import type { Version } from './version.ts'

const IDS = ['a', 'b', 'c']

const at = (lsn: number): Version => ({ type: 'commit', lsn: BigInt(lsn), index: 0, transactionId: lsn })

function row(gatewayId: string, lsn: number, deletedAt: bigint | null = null): Gateway {
  const common = { organizationId: 'o', name: '', gatewayType: 'print', gatewayConfig: {}, status: 'active' } as const
  return { ...common, gatewayId, createdAt: 0n, updatedAt: BigInt(lsn), deletedAt }
}

const stored = (id: string, lsn: number): GatewayEvent => ({ type: 'stored', gateway: row(id, lsn), version: at(lsn) })
const deleted = (gatewayId: string, lsn: number): GatewayEvent => ({ type: 'deleted', gatewayId, version: at(lsn) })
const truncated = (lsn: number): GatewayEvent => ({ type: 'remaining', gatewayIds: new Set(), version: at(lsn) })

/** Returns the version of each gateway. */
function stateOf(desired: DesiredGateways) {
  return IDS.map((id) => desired.get(id)?.updatedAt)
}

/** Applies the events in the given order; returns the version of each gateway. */
function stateAfter(events: readonly GatewayEvent[]) {
  const desired = new DesiredGateways()
  for (const event of events) desired.apply(event)
  return stateOf(desired)
}

/** The events of a complete read that contains the commits before `lsn`: every row and the ids of all. */
function readOf(events: readonly GatewayEvent[], lsn: number): readonly GatewayEvent[] {
  const table = new DesiredGateways()
  for (const event of events.slice(0, lsn)) table.apply(event)
  const gateways = IDS.flatMap((id) => table.get(id) ?? [])
  const version: Version = { type: 'read', lsn: BigInt(lsn), inProgress: new Set() }
  const rows = gateways.map((gateway): GatewayEvent => ({ type: 'stored', gateway, version }))
  return [...rows, { type: 'remaining', gatewayIds: new Set(gateways.map(({ gatewayId }) => gatewayId)), version }]
}

/** The events of a table in the order of their commits, each at the position of its index. */
const histories = fc
  .array(fc.tuple(fc.constantFrom('stored', 'deleted', 'truncated'), fc.constantFrom(...IDS)), { maxLength: 12 })
  .map((changes) =>
    changes.map(([type, id], lsn) => {
      if (type === 'truncated') return truncated(lsn)
      return type === 'stored' ? stored(id, lsn) : deleted(id, lsn)
    }),
  )

describe('DesiredGateways', () => {
  it('G-5: ignores an event that is not newer, also for a gateway that is deleted', () => {
    const desired = new DesiredGateways()
    expect(desired.apply(stored('a', 5))).toEqual(['a'])
    expect(desired.apply(stored('a', 4))).toEqual([])
    expect(desired.apply(deleted('a', 6))).toEqual(['a'])
    expect(desired.apply(stored('a', 5))).toEqual([])
    expect(desired.apply({ type: 'stored', gateway: row('b', 8, 8n), version: at(8) })).toEqual(['b'])
    expect(desired.apply(stored('b', 7))).toEqual([])
    expect(stateOf(desired)).toEqual([undefined, undefined, undefined])
  })

  it('G-4: a truncation removes what is older, and older events of unknown gateways have no effect', () => {
    const desired = new DesiredGateways()
    for (const event of [stored('a', 5), stored('b', 9)]) desired.apply(event)
    expect(desired.apply(truncated(8))).toEqual(['a'])
    expect(desired.apply(stored('c', 7))).toEqual([])
    expect(stateOf(desired)).toEqual([undefined, 9n, undefined])
  })

  it('B-10: a read keeps the gateways that it cannot contain', () => {
    const desired = new DesiredGateways()
    for (const event of [stored('a', 5), stored('b', 6), stored('c', 7)]) desired.apply(event)
    const version: Version = { type: 'read', lsn: 7n, inProgress: new Set([6]) }
    expect(desired.apply({ type: 'remaining', gatewayIds: new Set(), version })).toEqual(['a'])
    expect(stateOf(desired)).toEqual([undefined, 6n, 7n])
  })

  it('G-5: ends in the same state for every order of the events and however often they are repeated', () => {
    const orders = histories.chain((events) => {
      const length = { minLength: events.length * 2, maxLength: events.length * 2 }
      return fc.tuple(fc.constant(events), fc.shuffledSubarray([...events, ...events], length))
    })
    fc.assert(
      fc.property(orders, ([events, disordered]) => {
        expect(stateAfter(disordered)).toEqual(stateAfter(events))
      }),
    )
  })

  it('B-10: a replay of all events changes nothing until its first event that the last read does not contain', () => {
    const cases = histories.chain((events) => fc.tuple(fc.constant(events), fc.nat({ max: events.length })))
    fc.assert(
      fc.property(cases, ([events, lsn]) => {
        const desired = new DesiredGateways()
        for (const event of readOf(events, lsn)) desired.apply(event)
        const changes = events.map((event) => desired.apply(event))
        expect(changes.slice(0, lsn).flat()).toEqual([])
        expect(stateOf(desired)).toEqual(stateAfter(events))
      }),
    )
  })
})
