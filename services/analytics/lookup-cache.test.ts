import { describe, expect, it } from 'vitest'
import { LookupCache } from './lookup-cache.ts'

function cacheScene({ maxEntries = 10, maxWeight = 1000 } = {}) {
  const state = { now: 10_000, cdcAvailable: false }
  const loads: string[] = []
  const cache = new LookupCache<string>({
    now: () => state.now,
    cdcAvailable: () => state.cdcAvailable,
    weightOf: (value) => value.length,
    maxEntries,
    maxWeight,
  })
  return {
    cache,
    state,
    loads,
    advance: (ms: number) => (state.now += ms),
    get: (key: string) =>
      cache.get(key, async () => {
        loads.push(key)
        return `${key} ${loads.length}`
      }),
  }
}

describe('P-6: cache without CDC events', () => {
  it('loads a key once for concurrent callers and again after the TTL', async () => {
    const { get, advance, loads } = cacheScene()
    expect(await Promise.all([get('a'), get('a')])).toEqual(['a 1', 'a 1'])
    advance(899)
    expect(await get('a')).toBe('a 1')
    advance(1)
    expect(await get('a')).toBe('a 2')
    expect(loads).toEqual(['a', 'a'])
  })

  it('measures the TTL from the start of the load', async () => {
    const { cache, advance } = cacheScene()
    let answer = (_value: string): void => {}
    const slow = cache.get('a', () => new Promise((resolve) => (answer = resolve)))
    advance(900)
    answer('old')
    expect(await slow).toBe('old')
    expect(await cache.get('a', async () => 'new')).toBe('new')
  })

  it('does not cache a failure', async () => {
    const { cache } = cacheScene()
    await expect(cache.get('a', () => Promise.reject(new Error('unavailable')))).rejects.toThrow('unavailable')
    expect(await cache.get('a', async () => 'there')).toBe('there')
  })
})

describe('P-6: cache with CDC events', () => {
  it('has a TTL of 30 s, which becomes the short one as soon as CDC events are unavailable', async () => {
    const { get, advance, state } = cacheScene()
    state.cdcAvailable = true
    await get('a')
    advance(29_999)
    expect(await get('a')).toBe('a 1')
    state.cdcAvailable = false
    expect(await get('a')).toBe('a 2')
    state.cdcAvailable = true
    advance(30_000)
    expect(await get('a')).toBe('a 3')
  })

  it('reloads an invalidated key, with the short TTL in the stale read window', async () => {
    const { cache, get, advance, state } = cacheScene()
    state.cdcAvailable = true
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

  it('returns a value that is invalidated while loading to its callers without caching it', async () => {
    const { cache, state } = cacheScene()
    state.cdcAvailable = true
    let answer = (_value: string): void => {}
    const before = cache.get('a', () => new Promise((resolve) => (answer = resolve)))
    cache.invalidate('a')
    const after = cache.get('a', async () => 'new')
    expect(await after).toBe('new')
    answer('old')
    expect(await before).toBe('old')
    expect(await cache.get('a', async () => 'loaded again')).toBe('new')
  })

  it('keeps the next load when an invalidated load fails', async () => {
    const { cache } = cacheScene()
    let fail = (_error: Error): void => {}
    const before = cache.get('a', () => new Promise((_resolve, reject) => (fail = reject)))
    cache.invalidate('a')
    await cache.get('a', async () => 'new')
    fail(new Error('unavailable'))
    await expect(before).rejects.toThrow('unavailable')
    expect(await cache.get('a', async () => 'loaded again')).toBe('new')
  })

  it('clears all entries, with the short TTL in the stale read window', async () => {
    const { cache, get, advance, state } = cacheScene()
    state.cdcAvailable = true
    await get('a')
    cache.clear()
    expect(await get('a')).toBe('a 2')
    advance(1000)
    expect(await get('a')).toBe('a 3')
    advance(20_000)
    expect(await get('a')).toBe('a 3')
  })

  it('treats all keys as stale when too many are invalidated in a row', async () => {
    const { cache, get, advance, state } = cacheScene()
    state.cdcAvailable = true
    cache.invalidate('a')
    for (let index = 0; index < 20_000; index++) cache.invalidate(`other ${index}`)
    await get('a')
    advance(1000)
    expect(await get('a')).toBe('a 2')
  })
})

describe('P-6: cache limits', () => {
  it('evicts the least recently used entry', async () => {
    const { get, loads } = cacheScene({ maxEntries: 2 })
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key)
    expect(loads).toEqual(['a', 'b', 'c', 'b'])
  })

  it('limits the total weight', async () => {
    const { cache, get, advance } = cacheScene({ maxWeight: 100 })
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
