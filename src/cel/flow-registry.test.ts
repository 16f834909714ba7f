import { beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from './evaluation-scheduler.ts'
import { FairShare } from './fair-share.ts'
import { FlowRegistry } from './flow-registry.ts'
import type { Flow } from './flow.ts'

interface Sized {
  readonly payload: Uint8Array
}

let registry: FlowRegistry<Sized>

beforeEach(() => {
  const lanes = { quick: new FairShare<Flow<Sized>>(), background: new FairShare<Flow<Sized>>() }
  registry = new FlowRegistry(DEFAULT_LIMITS, lanes)
})

describe('B-1: the memory of expressions', () => {
  it('knows an expression by its organization and source', () => {
    const flow = registry.find('a', 'source')
    expect(registry.find('a', 'source')).toBe(flow)
    expect(registry.find('b', 'source')).not.toBe(flow)
    expect(registry.find('a', 'other')).not.toBe(flow)
    expect(registry.size).toBe(3)
  })

  it('keeps at most 20,000 expressions, and those that are used', () => {
    const used = registry.find('a', 'used')
    const unused = registry.find('a', 'unused')
    for (let index = 0; index < 60_000; index++) {
      registry.find(`organization ${index}`, 'source')
      registry.find('a', 'used')
    }
    expect(registry.size).toBe(20_000)
    expect(registry.find('a', 'used')).toBe(used)
    expect(registry.find('a', 'unused')).not.toBe(unused)
  })

  it('keeps at most 8 Mi characters of sources', () => {
    const longest = 'x'.repeat(4000)
    for (let index = 0; index < 10_000; index++) registry.find('a', `${index} ${longest}`)
    expect(registry.size).toBeLessThan(2100)
    expect(registry.size).toBeGreaterThan(2000)
  })
})
