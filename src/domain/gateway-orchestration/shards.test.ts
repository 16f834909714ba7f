import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shardOf, shardsOf } from './shards.ts'

const SHARDS = 64
const members = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 6 })

describe('shardOf', () => {
  it('G-13: distributes gateways over all shards, and always returns the same shard for a gateway', () => {
    const counts = new Map<number, number>()
    for (let number = 0; number < 64_000; number += 1) {
      const shard = shardOf(`gateway-${number}`, SHARDS)
      counts.set(shard, (counts.get(shard) ?? 0) + 1)
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: SHARDS }, (_, shard) => shard))
    expect(Math.max(...counts.values())).toBeLessThan(1200)
    expect(Math.min(...counts.values())).toBeGreaterThan(800)
    // Instances of other versions must return the same shards.
    expect(['g1', 'g2', 'ä'].map((id) => shardOf(id, SHARDS))).toMatchInlineSnapshot(`
      [
        20,
        32,
        3,
      ]
    `)
  })
})

describe('shardsOf', () => {
  it('G-13: assigns each shard to exactly one live instance', () => {
    fc.assert(
      fc.property(members, (instances) => {
        const live = new Set(instances)
        const assigned = instances.flatMap((instance) => [...shardsOf(instance, live, SHARDS)])
        expect(assigned.sort((a, b) => a - b)).toEqual(Array.from({ length: SHARDS }, (_, shard) => shard))
      }),
    )
  })

  it('G-13: a change of the members moves only shards of the instance that joins or leaves', () => {
    fc.assert(
      fc.property(members, fc.uuid(), (others, joining) => {
        fc.pre(!others.includes(joining))
        const [before, after] = [new Set(others), new Set([...others, joining])]
        const moved = shardsOf(joining, after, SHARDS)
        for (const instance of others) {
          const kept = [...shardsOf(instance, before, SHARDS)].filter((shard) => !moved.has(shard))
          expect([...shardsOf(instance, after, SHARDS)]).toEqual(kept)
        }
      }),
    )
  })

  it('G-13: gives each of three instances a share', () => {
    const live = new Set(['a', 'b', 'c'])
    for (const instance of live) expect(shardsOf(instance, live, SHARDS).size).toBeGreaterThan(SHARDS / 6)
  })
})
