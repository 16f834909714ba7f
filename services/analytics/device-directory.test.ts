import { describe, expect, it } from 'vitest'
import type { EndDevice, Organization } from '../../src/domain/entities.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { ProfileCodec } from '../../src/domain/ports.ts'
import { DeviceDirectory } from './device-directory.ts'
import { celCodec } from '../../test/rig/adapters/cel-codec.ts'

const DEVICE: EndDevice = {
  deviceId: 'device',
  organizationId: 'organization',
  name: 'A device',
  payloadConversion: 'cayenne_lpp_decode(input)',
  externalId: '',
  profileId: '',
  createdAt: 0n,
  updatedAt: 0n,
  lastSeenAt: null,
}
const ORGANIZATION: Organization = {
  id: 'organization',
  name: 'An organization',
  status: 'active',
  retentionDays: 0,
  createdAt: 0n,
  updatedAt: 0n,
  deletedAt: null,
}

interface Store {
  device: EndDevice | null | Error
  organization: Organization | null | Error
  profile: ProfileCodec | null | Error
  onProfileRead: () => void
}

/** Creates a directory on a store with scripted results; a result that is an Error is thrown. */
function scene() {
  const store: Store = { device: DEVICE, organization: ORGANIZATION, profile: null, onProfileRead: () => {} }
  let now = 0
  const queries: string[] = []
  const answer = async <T>(ids: readonly string[], value: T | null | Error): Promise<ReadonlyMap<string, T>> => {
    queries.push(...ids)
    if (value instanceof Error) throw value
    return new Map(value === null ? [] : ids.map((id) => [id, value]))
  }
  const directory = new DeviceDirectory({
    endDevices: { getMany: (ids) => answer(ids, store.device) },
    organizations: { getMany: (ids) => answer(ids, store.organization) },
    profiles: {
      getCodecs(ids) {
        store.onProfileRead()
        return answer(ids, store.profile)
      },
    },
    cdcAvailable: () => false,
    now: () => now,
    retryDelaysMs: { first: 1, longest: 2 },
  })
  const cut = new AbortController()
  return {
    store,
    queries,
    cut,
    advance: (ms: number) => (now += ms),
    lookUp: (id = 'device') => directory.lookUp(id, cut.signal),
  }
}

describe('P-1, P-6: device directory', () => {
  it('queries a device once and returns a changed expression within a second', async () => {
    const { lookUp, store, queries, advance } = scene()
    const known = { kind: 'known', organizationId: 'organization', codec: celCodec('cayenne_lpp_decode(input)') }
    expect(await Promise.all([lookUp(), lookUp(), lookUp()])).toEqual([known, known, known])
    expect(queries).toEqual(['device', 'organization'])
    store.device = { ...DEVICE, payloadConversion: '{"changed": true}' }
    advance(1000)
    expect(await lookUp()).toEqual({ ...known, codec: celCodec('{"changed": true}') })
  })

  it('distinguishes an unknown device from an unknown organization and finds both after their creation', async () => {
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

describe('the codec of a profile', () => {
  const known = { kind: 'known', organizationId: 'organization' }
  const profile = { profileName: 'Model', kind: 'javascript', source: 'function decodeUplink() {}' } as const

  it('is that of a device without an expression, and changes within a second', async () => {
    const { lookUp, store, queries, advance } = scene()
    store.device = { ...DEVICE, payloadConversion: '', profileId: 'profile' }
    expect(await lookUp()).toEqual({ ...known, codec: null })
    store.profile = profile
    advance(1000)
    const codec = { kind: 'javascript', source: profile.source }
    const found = { ...known, codec, profile: { id: 'profile', name: 'Model' } }
    expect(await Promise.all([lookUp(), lookUp()])).toEqual([found, found])
    expect(queries).toEqual(['device', 'organization', 'profile', 'device', 'device', 'organization', 'profile'])
    store.profile = { ...profile, source: 'changed' }
    advance(1000)
    expect(await lookUp()).toEqual({ ...found, codec: { ...codec, source: 'changed' } })
  })

  it('is that of the new profile if the device changed and the old profile was deleted between the reads of both', async () => {
    const { lookUp, store, queries } = scene()
    store.device = { ...DEVICE, payloadConversion: '', profileId: 'old' }
    store.onProfileRead = () => {
      store.onProfileRead = () => (store.profile = profile)
      store.device = { ...DEVICE, payloadConversion: '', profileId: 'new' }
    }
    expect(await lookUp()).toMatchObject({ codec: { kind: 'javascript' }, profile: { id: 'new' } })
    expect(queries).toEqual(['device', 'organization', 'old', 'device', 'new'])
  })

  it('is not read for a device with an expression, which takes precedence', async () => {
    const { lookUp, store, queries } = scene()
    store.device = { ...DEVICE, profileId: 'profile' }
    expect(await lookUp()).toEqual({ ...known, codec: celCodec(DEVICE.payloadConversion) })
    expect(queries).toEqual(['device', 'organization'])
  })
})

describe('P-7: a query to an unavailable store', () => {
  it('is retried until the store is available', async () => {
    const { lookUp, store, queries } = scene()
    store.device = new DomainError('unavailable', 'unavailable')
    const waiting = lookUp()
    await expect.poll(() => queries.length).toBeGreaterThan(3)
    store.device = DEVICE
    expect(await waiting).toMatchObject({ kind: 'known' })
  })

  it('is not retried after the service stops', async () => {
    const { lookUp, store, queries, cut } = scene()
    store.organization = new DomainError('unavailable', 'unavailable')
    const waiting = lookUp()
    await expect.poll(() => queries.length).toBeGreaterThan(3)
    cut.abort()
    await expect(waiting).rejects.toThrow('abort')
  })

  it('is distinguished from queries with other errors, which are thrown', async () => {
    const { lookUp, store } = scene()
    store.device = new Error('column payload_conversion does not exist')
    await expect(lookUp()).rejects.toThrow('does not exist')
  })
})
