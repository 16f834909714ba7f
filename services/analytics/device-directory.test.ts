import { describe, expect, it } from 'vitest'
import type { EndDevice } from '../../src/domain/end-device.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { Organization } from '../../src/domain/organization.ts'
import { DeviceDirectory } from './device-directory.ts'

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
