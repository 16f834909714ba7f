import { beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from './evaluation-scheduler.ts'
import { FairShare } from './fair-share.ts'
import { FlowRegistry } from './flow-registry.ts'
import type { Flow } from './flow.ts'
import { celCodec } from '../../../test/rig/adapters/cel-codec.ts'

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
    const flow = registry.find('a', celCodec('source'))
    expect(registry.find('a', celCodec('source'))).toBe(flow)
    expect(registry.find('b', celCodec('source'))).not.toBe(flow)
    expect(registry.find('a', celCodec('other'))).not.toBe(flow)
    expect(registry.size).toBe(3)
  })

  it('keeps at most 20,000 expressions, and those that are used', () => {
    const used = registry.find('a', celCodec('used'))
    const unused = registry.find('a', celCodec('unused'))
    for (let index = 0; index < 60_000; index++) {
      registry.find(`organization ${index}`, celCodec('source'))
      registry.find('a', celCodec('used'))
    }
    expect(registry.size).toBe(20_000)
    expect(registry.find('a', celCodec('used'))).toBe(used)
    expect(registry.find('a', celCodec('unused'))).not.toBe(unused)
  })

  it('keeps at most 8 Mi characters of sources', () => {
    const longest = 'x'.repeat(4000)
    for (let index = 0; index < 10_000; index++) registry.find('a', celCodec(`${index} ${longest}`))
    expect(registry.size).toBeLessThan(2100)
    expect(registry.size).toBeGreaterThan(2000)
  })
})
