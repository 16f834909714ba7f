import type { MessageInitShape } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  CodecKind,
  DeviceProfileService,
  type CreateDeviceProfileRequestSchema,
  type DeviceProfile,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { apiForAll, refusal, type TestApi } from '../../test/rig/services/api.ts'

const profiles = DeviceProfileService.method
const devices = EndDeviceService.method
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a number of a later version
const UNKNOWN_KIND = 9 as CodecKind
const CODEC = { kind: CodecKind.CEL, source: '{"t": input.size()}' }

const rig = apiForAll()
const { newOrganization, newDevice } = rig
let api: TestApi

beforeAll(() => {
  ;({ api } = rig)
})

type NewProfile = Exclude<MessageInitShape<typeof CreateDeviceProfileRequestSchema>, { $typeName: string }>

async function newProfile(request: Partial<NewProfile> = {}): Promise<DeviceProfile> {
  const { deviceProfile } = await api.client.call(profiles.createDeviceProfile, { name: 'P', codec: CODEC, ...request })
  if (deviceProfile === undefined) throw new Error('no profile')
  return deviceProfile
}

const outcome = async (call: Promise<unknown>) => {
  const { code, details } = await refusal(call)
  return [code, details]
}

describe('W-3 device profiles', () => {
  test('are created, read, updated and deleted with their samples and fields', async () => {
    const organizationId = await newOrganization()
    const expected = { case: 'data' as const, value: { t: 2, nested: { list: [1, null, 'ü'] } } }
    const more = { fPort: 2, fCnt: 7, receivedAt: { seconds: 5n, nanos: 6000 }, metadata: { rssi: -5 } }
    const samples = [
      { name: 'two', payload: Buffer.of(1, 255), ...more, expected },
      { name: 'any' },
      { name: 'wrong', payload: Buffer.of(0), expected: { case: 'error', value: 'too short' } as const },
    ]
    const fields = [{ path: 'nested.list', unit: '°C', name: 'Temperatures' }]
    const request = { organizationId, name: 'Model A', codec: CODEC, samples, fields, skipSamples: true }
    const created = await newProfile(request)
    const { skipSamples: _, ...stored } = request
    expect(created).toMatchObject({ ...stored, profileId: expect.stringMatching(/^[0-9a-v]{20}$/) })
    const { profileId } = created
    expect((await api.client.call(profiles.getDeviceProfile, { profileId })).deviceProfile).toEqual(created)
    const renamed = await api.client.call(profiles.updateDeviceProfile, { profileId, name: 'B', skipSamples: true })
    expect(renamed.deviceProfile).toMatchObject({ ...stored, name: 'B' })
    const codec = { kind: CodecKind.CAYENNE_LPP, source: '' }
    const change = { profileId, codec, samples: { samples: [] }, fields: {} }
    const changed = await api.client.call(profiles.updateDeviceProfile, change)
    expect(changed.deviceProfile).toMatchObject({ name: 'B', codec, samples: [], fields: [] })
    await api.client.call(profiles.deleteDeviceProfile, { profileId })
    const missing = [Status.NOT_FOUND, `Device profile not found: ${profileId}`]
    expect(await outcome(api.client.call(profiles.getDeviceProfile, { profileId }))).toEqual(missing)
    expect(await outcome(api.client.call(profiles.deleteDeviceProfile, { profileId }))).toEqual(missing)
  })

  test('A-5 are listed in pages with the shared profiles, newest first, without samples', async () => {
    const [own, other] = [await newOrganization(), await newOrganization()]
    const samples = [{ name: 's', payload: new Uint8Array(1) }]
    const created = [
      await newProfile({ organizationId: own, samples }),
      await newProfile({ samples }),
      await newProfile({ organizationId: other, samples }),
      await newProfile({ organizationId: own, samples }),
    ].map((profile) => ({ ...profile, samples: [] }))
    const seen: DeviceProfile[] = []
    let pageToken = ''
    do {
      const page = await api.client.call(profiles.listDeviceProfiles, { organizationId: own, pageSize: 1, pageToken })
      expect(page.deviceProfiles.length).toBeLessThanOrEqual(1)
      seen.push(...page.deviceProfiles)
      pageToken = page.nextPageToken
    } while (pageToken !== '')
    expect(seen.slice(0, 3)).toEqual([created[3], created[1], created[0]])
    const shared = await api.client.call(profiles.listDeviceProfiles, { pageSize: 1 })
    expect(shared.deviceProfiles).toEqual([created[1]])
  })

  test('A-5 a page of large sources has fewer profiles', async () => {
    const organizationId = await newOrganization()
    const codec = { kind: CodecKind.JAVASCRIPT, source: `function decodeUplink() {} // ${'x'.repeat(60_000)}` }
    for (let index = 0; index < 60; index += 1) await newProfile({ organizationId, codec })
    const page = await api.client.call(profiles.listDeviceProfiles, { organizationId, pageSize: 60 })
    expect(page.deviceProfiles).toHaveLength(52)
    expect(page.nextPageToken).not.toBe('')
  })

  test.each<[string, Partial<NewProfile>, string]>([
    ['no name', { name: ' ' }, 'name is required and must not be blank'],
    ['no codec', { codec: {} }, 'codec.kind must be CEL, JAVASCRIPT or CAYENNE_LPP'],
    ['an unknown kind', { codec: { kind: UNKNOWN_KIND } }, 'codec.kind must be CEL, JAVASCRIPT or CAYENNE_LPP'],
    ['no source', { codec: { kind: CodecKind.CEL } }, 'codec.source is required and must not be blank'],
    [
      'an invalid expression',
      { codec: { kind: CodecKind.CEL, source: 'x +' } },
      'codec.source, line 1, column 3: syntax error',
    ],
    [
      'an expression with a type error',
      { codec: { kind: CodecKind.CEL, source: '{"a": int(input)}' } },
      'codec.source, line 1, column ',
    ],
    [
      'a long source',
      { codec: { kind: CodecKind.JAVASCRIPT, source: 'x'.repeat(65_537) } },
      'codec.source is too long: the codec has 65537 bytes, at most 65536 are allowed',
    ],
    ['a source for Cayenne LPP', { codec: { kind: CodecKind.CAYENNE_LPP, source: 'x' } }, 'codec.source must be empty'],
    ['many samples', { samples: Array.from({ length: 201 }, () => ({})) }, 'samples has 201 items, at most 200'],
    ['large samples', { samples: [{ payload: new Uint8Array(50_000) }] }, 'samples is too long: 100'],
    ['a field without path', { fields: [{ unit: 'V' }] }, 'fields[0].path is required'],
    [
      'a sample that is received outside the storable years',
      { samples: [{}, { receivedAt: { seconds: 1_000_000_000_000n } }] },
      'samples[1].received_at is outside the years 1900 to 2299',
    ],
    [
      'a sample whose receive time is not a date',
      { samples: [{ receivedAt: { seconds: 10n ** 15n } }] },
      'samples[0].received_at is outside the years 1900 to 2299',
    ],
    [
      'a sample with a reading without a value',
      { samples: [{ expected: { case: 'readings', value: { values: [{ kind: { case: undefined } }] } } }] },
      'samples[0].readings',
    ],
    [
      'two fields with one path',
      { fields: [{ path: 'a.b' }, { path: 'c' }, { path: 'a.b' }] },
      'fields[2].path "a.b" is',
    ],
    [
      'a field with an empty name in its path',
      { fields: [{ path: 'a..b' }] },
      'fields[0].path "a..b" has an empty name',
    ],
    ['large fields', { fields: Array.from({ length: 100 }, () => ({ path: 'x'.repeat(200) })) }, 'fields is too long'],
  ])('A-4 rejects %s', async (_, request, message) => {
    const [code, details] = await outcome(newProfile(request))
    expect([code, details]).toEqual([Status.INVALID_ARGUMENT, expect.stringContaining(message)])
  })

  test('A-4 are not created for an unknown organization', async () => {
    const missing = [Status.NOT_FOUND, 'Organization not found: missing']
    expect(await outcome(newProfile({ organizationId: 'missing' }))).toEqual(missing)
  })

  test('A-6 an organization that still has a profile is not deleted', async () => {
    const organizationId = await newOrganization()
    await newProfile({ organizationId })
    const [code] = await outcome(api.client.call(OrganizationService.method.deleteOrganization, { organizationId }))
    expect(code).toBe(Status.FAILED_PRECONDITION)
  })
})

describe('W-3 the profile of a device', () => {
  test('is one of its organization or a shared one, and an empty id removes it', async () => {
    const organizationId = await newOrganization()
    const { profileId } = await newProfile({ organizationId })
    const shared = await newProfile()
    const request = { organizationId, name: 'Sensor', profileId }
    const { endDevice } = await api.client.call(devices.createEndDevice, request)
    expect(endDevice).toMatchObject(request)
    const deviceId = endDevice?.deviceId ?? ''
    const renamed = await api.client.call(devices.updateEndDevice, { deviceId, name: 'Beta' })
    expect(renamed.endDevice).toMatchObject({ name: 'Beta', profileId })
    const moved = await api.client.call(devices.updateEndDevice, { deviceId, profileId: shared.profileId })
    expect(moved.endDevice).toMatchObject({ profileId: shared.profileId })
    const removed = await api.client.call(devices.updateEndDevice, { deviceId, profileId: '' })
    expect(removed.endDevice).toMatchObject({ name: 'Beta', profileId: '' })
  })

  test('A-7 cannot be one of another organization, or an unknown one', async () => {
    const organizationId = await newOrganization()
    const deviceId = await newDevice(organizationId)
    const foreign = await newProfile({ organizationId: await newOrganization() })
    for (const profileId of [foreign.profileId, 'nothing']) {
      const missing = [Status.NOT_FOUND, `Device profile not found: ${profileId}`]
      const request = { organizationId, name: 'x', profileId }
      expect(await outcome(api.client.call(devices.createEndDevice, request))).toEqual(missing)
      expect(await outcome(api.client.call(devices.updateEndDevice, { deviceId, profileId }))).toEqual(missing)
    }
  })

  test('A-6 is not deleted while devices have it', async () => {
    const organizationId = await newOrganization()
    const { profileId } = await newProfile()
    for (const name of ['a', 'b']) await api.client.call(devices.createEndDevice, { organizationId, name, profileId })
    expect(await outcome(api.client.call(profiles.deleteDeviceProfile, { profileId }))).toEqual([
      Status.FAILED_PRECONDITION,
      `Device profile ${profileId} is in use by 2 end devices; change them first`,
    ])
  })
})
