import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Gateway, JsonObject, JsonValue } from '../entities.ts'
import { configFingerprint, decide, type Known } from './decision.ts'

const gateway = (change: Partial<Gateway> = {}): Gateway => ({
  gatewayId: 'g1',
  organizationId: 'o1',
  name: 'Roof',
  gatewayType: 'print',
  gatewayConfig: { host: 'a', nested: { x: 1, y: [1, 2] } },
  status: 'active',
  createdAt: 1n,
  updatedAt: 10n,
  deletedAt: null,
  ...change,
})

const running = (of: Gateway): Known => ({
  type: 'running',
  fingerprint: configFingerprint(of),
  version: of.updatedAt,
})

describe('decide', () => {
  it('G-2 starts an unknown gateway and ignores a second create', () => {
    expect(decide({ type: 'unknown' }, { type: 'created', gateway: gateway() }).type).toBe('start')
    expect(decide(running(gateway()), { type: 'created', gateway: gateway() })).toEqual({ type: 'ignore' })
  })

  it('G-3 restarts on a config other than the running one', () => {
    const next = gateway({ updatedAt: 11n, gatewayConfig: { host: 'b' } })
    expect(decide(running(gateway()), { type: 'updated', gateway: next })).toEqual({ type: 'restart', gateway: next })
  })

  it('G-3 keeps the process when only other fields or the order of keys changed', () => {
    const next = gateway({ updatedAt: 11n, name: 'Cellar', gatewayConfig: { nested: { y: [1, 2], x: 1 }, host: 'a' } })
    expect(decide(running(gateway()), { type: 'updated', gateway: next }).type).toBe('keep')
  })

  it('G-3 starts an unknown gateway on an update, and removes a soft-deleted one', () => {
    expect(decide({ type: 'unknown' }, { type: 'updated', gateway: gateway() }).type).toBe('start')
    const deleted = gateway({ updatedAt: 11n, deletedAt: 11n })
    expect(decide(running(gateway()), { type: 'updated', gateway: deleted }).type).toBe('remove')
  })

  it('G-4 removes a gateway on delete, and ignores the delete of an unknown one', () => {
    const event = { type: 'deleted', gatewayId: 'g1', version: 10n } as const
    expect(decide(running(gateway()), event)).toEqual({ type: 'remove', version: 10n })
    expect(decide({ type: 'unknown' }, event)).toEqual({ type: 'ignore' })
  })

  it('G-5 ignores an event older than the known state', () => {
    const known: Known[] = [running(gateway({ updatedAt: 20n })), { type: 'removed', version: 20n }]
    for (const state of known) {
      expect(decide(state, { type: 'updated', gateway: gateway({ updatedAt: 19n }) }).type).toBe('ignore')
      expect(decide(state, { type: 'created', gateway: gateway({ updatedAt: 19n }) }).type).toBe('ignore')
      expect(decide(state, { type: 'deleted', gatewayId: 'g1', version: 19n }).type).toBe('ignore')
    }
  })
})

describe('configFingerprint', () => {
  it('G-3 does not depend on the order of keys at any depth', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), json), (gatewayConfig) => {
        expect(configFingerprint(gateway({ gatewayConfig: reverseKeys(gatewayConfig) }))).toBe(
          configFingerprint(gateway({ gatewayConfig })),
        )
      }),
    )
  })

  it('G-3 differs for another type, organization or value', () => {
    const prints = [
      gateway(),
      gateway({ gatewayType: 'mqtt' }),
      gateway({ organizationId: 'o2' }),
      gateway({ gatewayConfig: { host: 'a', nested: { x: '1', y: [1, 2] } } }),
      gateway({ gatewayConfig: { host: 'a', nested: { x: 1, y: [2, 1] } } }),
    ].map(configFingerprint)
    expect(new Set(prints).size).toBe(prints.length)
  })
})

const { json } = fc.letrec<{ json: JsonValue }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string(),
    fc.array(tie('json')),
    fc.dictionary(fc.string(), tie('json')),
  ),
}))

function reverseKeys(value: JsonObject): JsonObject {
  const reverse = (item: JsonValue): JsonValue => {
    if (isArray(item)) return item.map(reverse)
    return item !== null && typeof item === 'object' ? reverseKeys(item) : item
  }
  const entries = Object.entries(value).map(([key, item]) => [key, reverse(item)] as const)
  return Object.fromEntries(entries.toReversed())
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
