import { describe, expect, it } from 'vitest'
import { ShortCache } from './short-cache.ts'

function scene(maxEntries = 10) {
  let now = 0
  const loads: string[] = []
  const cache = new ShortCache<string>({ timeToLiveMs: 900, maxEntries, now: () => now })
  return {
    cache,
    loads,
    advance: (ms: number) => (now += ms),
    get: (key: string) =>
      cache.get(key, async () => {
        loads.push(key)
        return `${key} ${loads.length}`
      }),
  }
}

describe('P-6: a look-up is remembered for a moment', () => {
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

  it('loads anew what was invalidated', async () => {
    const { cache, get } = scene()
    await get('a')
    cache.invalidate('a')
    expect(await get('a')).toBe('a 2')
  })

  it('forgets the oldest when it is full', async () => {
    const { get, loads } = scene(2)
    for (const key of ['a', 'b', 'c', 'b', 'a']) await get(key)
    expect(loads).toEqual(['a', 'b', 'c', 'a'])
  })
})
