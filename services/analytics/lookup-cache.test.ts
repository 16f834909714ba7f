import { describe, expect, it } from 'vitest'
import { LookupCache } from './lookup-cache.ts'

function scene({ maxEntries = 10, maxWeight = 1000 } = {}) {
  const world = { now: 10_000, changesAreKnown: false }
  const loads: string[] = []
  const cache = new LookupCache<string>({
    now: () => world.now,
    changesAreKnown: () => world.changesAreKnown,
    weightOf: (value) => value.length,
    maxEntries,
    maxWeight,
  })
  return {
    cache,
    world,
    loads,
    advance: (ms: number) => (world.now += ms),
    get: (key: string) =>
      cache.get(key, async () => {
        loads.push(key)
        return `${key} ${loads.length}`
      }),
  }
}

describe('P-6: a look-up is remembered for a moment while changes are not known', () => {
  it('loads once for all who ask, and anew when the moment is over', async () => {
    const { get, advance, loads } = scene()
    expect(await Promise.all([get('a'), get('a')])).toEqual(['a 1', 'a 1'])
    advance(899)
    expect(await get('a')).toBe('a 1')
    advance(1)
    expect(await get('a')).toBe('a 2')
    expect(loads).toEqual(['a', 'a'])
  })

  it('counts the moment from the question, not from the answer', async () => {
    const { cache, advance } = scene()
    let answer = (_value: string): void => {}
    const slow = cache.get('a', () => new Promise((resolve) => (answer = resolve)))
    advance(900)
    answer('old')
    expect(await slow).toBe('old')
    expect(await cache.get('a', async () => 'new')).toBe('new')
  })

  it('does not remember a failure', async () => {
    const { cache } = scene()
    await expect(cache.get('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(await cache.get('a', async () => 'there')).toBe('there')
  })
})

describe('P-6: a look-up is remembered until it changes while changes are known', () => {
  it('keeps it for half a minute, and for the moment again as soon as changes are not known', async () => {
    const { get, advance, world } = scene()
    world.changesAreKnown = true
    await get('a')
    advance(29_999)
    expect(await get('a')).toBe('a 1')
    world.changesAreKnown = false
    expect(await get('a')).toBe('a 2')
    world.changesAreKnown = true
    advance(30_000)
    expect(await get('a')).toBe('a 3')
  })

  it('loads anew what was invalidated, and what is loaded right then is kept for the moment alone', async () => {
    const { cache, get, advance, world } = scene()
    world.changesAreKnown = true
    await get('a')
    cache.invalidate('a')
    expect(await get('a')).toBe('a 2')
    advance(899)
    expect(await get('a')).toBe('a 2')
    advance(101)
    expect(await get('a')).toBe('a 3')
    advance(20_000)
    expect(await get('a')).toBe('a 3')
  })

  it('gives what is loading at the invalidation to those who asked before, and does not keep it', async () => {
    const { cache, world } = scene()
    world.changesAreKnown = true
    let answer = (_value: string): void => {}
    const before = cache.get('a', () => new Promise((resolve) => (answer = resolve)))
    cache.invalidate('a')
    const after = cache.get('a', async () => 'new')
    expect(await after).toBe('new')
    answer('old')
    expect(await before).toBe('old')
    expect(await cache.get('a', async () => 'loaded again')).toBe('new')
  })

  it('a load that fails after the invalidation takes nothing away from the next', async () => {
    const { cache } = scene()
    let fail = (_error: Error): void => {}
    const before = cache.get('a', () => new Promise((_resolve, reject) => (fail = reject)))
    cache.invalidate('a')
    await cache.get('a', async () => 'new')
    fail(new Error('away'))
    await expect(before).rejects.toThrow('away')
    expect(await cache.get('a', async () => 'loaded again')).toBe('new')
  })

  it('forgets everything when anything may have changed, and what is loaded right then is kept for the moment alone', async () => {
    const { cache, get, advance, world } = scene()
    world.changesAreKnown = true
    await get('a')
    cache.clear()
    expect(await get('a')).toBe('a 2')
    advance(1000)
    expect(await get('a')).toBe('a 3')
    advance(20_000)
    expect(await get('a')).toBe('a 3')
  })

  it('stays right when more keys are invalidated at once than it tells apart', async () => {
    const { cache, get, advance, world } = scene()
    world.changesAreKnown = true
    cache.invalidate('a')
    for (let index = 0; index < 20_000; index++) cache.invalidate(`other ${index}`)
    await get('a')
    advance(1000)
    expect(await get('a')).toBe('a 2')
  })
})

describe('P-6: the cache is bounded', () => {
  it('forgets what was not used for longest', async () => {
    const { get, loads } = scene({ maxEntries: 2 })
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key)
    expect(loads).toEqual(['a', 'b', 'c', 'b'])
  })

  it('weighs what it keeps', async () => {
    const { cache, get, advance } = scene({ maxWeight: 100 })
    await cache.get('heavy', async () => 'x'.repeat(90))
    for (let index = 0; index < 50; index++) {
      await get('a')
      advance(1000)
    }
    expect(cache.size).toBe(2)
    await cache.get('heavier', async () => 'x'.repeat(95))
    expect(cache.size).toBe(2)
    await cache.get('too heavy', async () => 'x'.repeat(101))
    expect(cache.size).toBe(0)
  })
})
