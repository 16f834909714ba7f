import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Gateway, JsonObject, JsonValue } from '../entities.ts'
import { configFingerprint, reconcile } from './reconcile.ts'

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

describe('reconcile', () => {
  const running = { fingerprint: configFingerprint(gateway()) }
  const reordered = { nested: { y: [1, 2], x: 1 }, host: 'a' }

  it.each([
    ['no gateway and no process', 'none', null, null],
    ['a gateway without a process', 'start', gateway(), null],
    ['a process without a gateway', 'stop', null, running],
    ['a running gateway', 'refresh', gateway(), running],
    ['another name or order of keys', 'refresh', gateway({ name: 'Cellar', gatewayConfig: reordered }), running],
    ['another config', 'restart', gateway({ gatewayConfig: { host: 'b' } }), running],
    ['another type', 'restart', gateway({ gatewayType: 'mqtt' }), running],
  ] as const)('G-2, G-3, G-4: %s requires the action %s', (_case, action, desired, process) => {
    expect(reconcile(desired, process)).toBe(action)
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
