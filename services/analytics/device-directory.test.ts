import { describe, expect, it } from 'vitest'
import type { EndDevice, Organization } from '../../src/domain/entities.ts'
import { DomainError } from '../../src/domain/errors.ts'
import { DeviceDirectory, LookupCache } from './device-directory.ts'

const DEVICE: EndDevice = {
  deviceId: 'device',
  organizationId: 'organization',
  name: 'A device',
  payloadConversion: 'cayenne_lpp_decode(input)',
  createdAt: 0n,
  updatedAt: 0n,
  lastSeenAt: null,
}
const ORGANIZATION: Organization = {
  id: 'organization',
  name: 'An organization',
  status: 'active',
  createdAt: 0n,
  updatedAt: 0n,
  deletedAt: null,
}

/** A store whose answers the test writes; an Error is thrown. */
function scene() {
  const store: { device: EndDevice | null | Error; organization: Organization | null | Error } = {
    device: DEVICE,
    organization: ORGANIZATION,
  }
  let now = 0
  const asked: string[] = []
  const answer = <T>(value: T | Error): T => {
    if (value instanceof Error) throw value
    return value
  }
  const directory = new DeviceDirectory({
    endDevices: {
      get: async (id) => {
        asked.push(id)
        return answer(store.device)
      },
    },
    organizations: {
      get: async (id) => {
        asked.push(id)
        return answer(store.organization)
      },
    },
    now: () => now,
    retryDelaysMs: { first: 1, longest: 2 },
  })
  const cut = new AbortController()
  return {
    store,
    asked,
    cut,
    advance: (ms: number) => (now += ms),
    lookUp: (id = 'device') => directory.lookUp(id, cut.signal),
  }
}

describe('P-1, P-6: devices with their organizations', () => {
  it('knows a device, asks once, and uses a changed expression within a second', async () => {
    const { lookUp, store, asked, advance } = scene()
    const known = { kind: 'known', organizationId: 'organization', expression: 'cayenne_lpp_decode(input)' }
    expect(await Promise.all([lookUp(), lookUp(), lookUp()])).toEqual([known, known, known])
    expect(asked).toEqual(['device', 'organization'])
    store.device = { ...DEVICE, payloadConversion: '{"changed": true}' }
    advance(1000)
    expect(await lookUp()).toEqual({ ...known, expression: '{"changed": true}' })
  })

  it('tells an unknown device from an unknown organization, and sees them when they appear', async () => {
    const { lookUp, store, advance } = scene()
    store.device = null
    expect(await lookUp()).toEqual({ kind: 'unknown_device' })
    store.device = DEVICE
    store.organization = null
    advance(1000)
    expect(await lookUp()).toEqual({ kind: 'unknown_organization', organizationId: 'organization' })
    store.organization = ORGANIZATION
    advance(1000)
    expect(await lookUp()).toMatchObject({ kind: 'known' })
  })
})

describe('P-7: a store that does not answer says nothing of an envelope', () => {
  it('waits until it answers', async () => {
    const { lookUp, store, asked } = scene()
    store.device = new DomainError('unavailable', 'away')
    const waiting = lookUp()
    await expect.poll(() => asked.length).toBeGreaterThan(3)
    store.device = DEVICE
    expect(await waiting).toMatchObject({ kind: 'known' })
  })

  it('ends the waiting when the service stops', async () => {
    const { lookUp, store, asked, cut } = scene()
    store.organization = new DomainError('unavailable', 'away')
    const waiting = lookUp()
    await expect.poll(() => asked.length).toBeGreaterThan(3)
    cut.abort()
    await expect(waiting).rejects.toThrow('abort')
  })

  it('does not wait for what will not pass', async () => {
    const { lookUp, store } = scene()
    store.device = new Error('column payload_conversion does not exist')
    await expect(lookUp()).rejects.toThrow('does not exist')
  })
})

function cacheScene({ maxEntries = 10, maxWeight = 1000 } = {}) {
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
    const { get, advance, loads } = cacheScene()
    expect(await Promise.all([get('a'), get('a')])).toEqual(['a 1', 'a 1'])
    advance(899)
    expect(await get('a')).toBe('a 1')
    advance(1)
    expect(await get('a')).toBe('a 2')
    expect(loads).toEqual(['a', 'a'])
  })

  it('counts the moment from the question, not from the answer', async () => {
    const { cache, advance } = cacheScene()
    let answer = (_value: string): void => {}
    const slow = cache.get('a', () => new Promise((resolve) => (answer = resolve)))
    advance(900)
    answer('old')
    expect(await slow).toBe('old')
    expect(await cache.get('a', async () => 'new')).toBe('new')
  })

  it('does not remember a failure', async () => {
    const { cache } = cacheScene()
    await expect(cache.get('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(await cache.get('a', async () => 'there')).toBe('there')
  })
})

describe('P-6: a look-up is remembered until it changes while changes are known', () => {
  it('keeps it for half a minute, and for the moment again as soon as changes are not known', async () => {
    const { get, advance, world } = cacheScene()
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
    const { cache, get, advance, world } = cacheScene()
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
    const { cache, world } = cacheScene()
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
    const { cache } = cacheScene()
    let fail = (_error: Error): void => {}
    const before = cache.get('a', () => new Promise((_resolve, reject) => (fail = reject)))
    cache.invalidate('a')
    await cache.get('a', async () => 'new')
    fail(new Error('away'))
    await expect(before).rejects.toThrow('away')
    expect(await cache.get('a', async () => 'loaded again')).toBe('new')
  })

  it('forgets everything when anything may have changed, and what is loaded right then is kept for the moment alone', async () => {
    const { cache, get, advance, world } = cacheScene()
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
    const { cache, get, advance, world } = cacheScene()
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
    const { get, loads } = cacheScene({ maxEntries: 2 })
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key)
    expect(loads).toEqual(['a', 'b', 'c', 'b'])
  })

  it('weighs what it keeps', async () => {
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
