import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  TelemetryService,
  type QueryEnvelopesRequestSchema,
} from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { grpcMethod } from '../../src/proto/grpc.ts'
import { timestampFromInstant } from '../../src/proto/timestamp.ts'
import { refusal } from '../../test/rig/services/api.ts'
import { telemetryForEach, START, type TestTelemetry } from '../../test/rig/adapters/telemetry.ts'

const { getLatest, queryEnvelopes } = TelemetryService.method

const rig = telemetryForEach()
let telemetry: TestTelemetry
let organizationId: string
let deviceId: string

beforeEach(() => {
  ;({ telemetry } = rig)
  ;({ organizationId, deviceId } = telemetry)
})

function query(request: MessageInitShape<typeof QueryEnvelopesRequestSchema> = {}) {
  return telemetry.api.client.call(queryEnvelopes, { organizationId, ...request })
}

describe('GetLatest', () => {
  test('returns the newest envelope of the device with the requested fields', async () => {
    await telemetry.write(deviceId, [{ temperature_0: 1 }, { temperature_0: 25.5, accelerometer_1: { x: 1, y: 2 } }])
    const latest = { organizationId, endDeviceId: deviceId }
    const { envelope } = await telemetry.api.client.call(getLatest, latest)
    expect(envelope).toMatchObject({
      organizationId,
      endDeviceId: deviceId,
      occurredAt: timestampFromInstant(START + 1_000_000n),
      processedAt: timestampFromInstant(START + 1_000_001n),
      data: { temperature_0: 25.5, accelerometer_1: { x: 1, y: 2 } },
    })
    const some = await telemetry.api.client.call(getLatest, { ...latest, fieldPaths: ['accelerometer_1.y', 'nope'] })
    expect(some.envelope?.data).toEqual({ accelerometer_1: { y: 2 } })
  })

  test('W-2 returns the properties of the uplink', async () => {
    const metadata = { rssi: -113, gateway_ids: ['a'] }
    await telemetry.write(deviceId, [{ a: 1 }], { uplink: { fPort: 2, fCnt: 7, metadata } })
    const { envelope } = await telemetry.api.client.call(getLatest, { organizationId, endDeviceId: deviceId })
    expect(envelope).toMatchObject({ data: { a: 1 }, fPort: 2, fCnt: 7, metadata })
    expect((await query()).envelopes).toEqual([envelope])
  })

  test('returns no envelope for a device without envelopes', async () => {
    const { envelope } = await telemetry.api.client.call(getLatest, { organizationId, endDeviceId: deviceId })
    expect(envelope).toBeUndefined()
  })

  test('A-4, A-7 returns NOT_FOUND for an unknown organization, an unknown device and a device of another organization', async () => {
    await telemetry.write(deviceId, [{ secret: 1 }])
    const other = await telemetry.createOrganization()
    const ask = (organization: string, device: string) =>
      refusal(telemetry.api.client.call(getLatest, { organizationId: organization, endDeviceId: device }))
    const unknown = (details: string) => ({ code: Status.NOT_FOUND, details })
    expect(await ask('nobody', deviceId)).toEqual(unknown('Organization not found: nobody'))
    expect(await ask(organizationId, 'nothing')).toEqual(unknown('End device not found: nothing'))
    expect(await ask(other, deviceId)).toEqual(unknown(`End device not found: ${deviceId}`))
  })
})

describe('QueryEnvelopes', () => {
  test('A-5 lists every envelope once in pages, newest first, while more are written', async () => {
    const second = await telemetry.createDevice()
    await telemetry.write(
      deviceId,
      Array.from({ length: 23 }, (_, n) => ({ n })),
    )
    await telemetry.write(
      second,
      Array.from({ length: 23 }, (_, n) => ({ n })),
    )
    const seen: string[] = []
    let pageToken = ''
    do {
      const page = await query({ pageSize: 10, pageToken })
      seen.push(...page.envelopes.map(({ endDeviceId, data }) => `${endDeviceId} ${JSON.stringify(data)}`))
      pageToken = page.nextPageToken
      await telemetry.write(await telemetry.createDevice(), [{ late: true }])
      await telemetry.write(deviceId, [{ n: 0 }, { n: 1 }])
    } while (pageToken !== '')
    const early = seen.filter((one) => !one.includes('late'))
    const [low, high] = [deviceId, second].toSorted()
    expect(early).toEqual(
      Array.from({ length: 23 }, (_, n) => [`${high} {"n":${22 - n}}`, `${low} {"n":${22 - n}}`]).flat(),
    )
  })

  test('sends no token after a full last page', async () => {
    await telemetry.write(deviceId, [{ n: 0 }, { n: 1 }])
    const page = await query({ pageSize: 2 })
    expect(page.envelopes).toHaveLength(2)
    expect(page.nextPageToken).toBe('')
  })

  test('filters by times and device', async () => {
    await telemetry.write(deviceId, [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }])
    await telemetry.write(await telemetry.createDevice(), [{ n: 'other' }, { n: 'other' }])
    const from = timestampFromInstant(START + 1_000_000n)
    const to = timestampFromInstant(START + 3_000_000n)
    const { envelopes } = await query({ endDeviceId: deviceId, from, to })
    expect(envelopes.map(({ data }) => data)).toEqual([{ n: 2 }, { n: 1 }])
  })

  test.each([
    ['texts', 5, { large: 'x'.repeat(900_000) }, [3, 2]],
    [
      'lists, which are larger on the wire than in JSON',
      20,
      { large: Array.from({ length: 20_000 }, () => 1) },
      [7, 7, 6],
    ],
  ])('A-5 limits the size of a page of large %s; the next pages contain the rest', async (_, count, data, expected) => {
    await telemetry.write(
      deviceId,
      Array.from({ length: count }, () => data),
    )
    const sizes: number[] = []
    let pageToken = ''
    do {
      const page = await query({ pageToken })
      sizes.push(page.envelopes.length)
      pageToken = page.nextPageToken
    } while (pageToken !== '')
    expect(sizes).toEqual(expected)
  })

  test('lists an envelope with a key of hundreds of dots, which are levels in the store', async () => {
    await telemetry.write(deviceId, [{ n: 0 }, { [Array.from({ length: 300 }, () => 'a').join('.')]: 1 }, { n: 2 }])
    const { envelopes } = await query()
    expect(envelopes.map(({ data }) => Object.keys(data ?? {}))).toEqual([['n'], ['a'], ['n']])
    expect(JSON.stringify(envelopes[1]?.data)).toMatch(/^(\{"a":){32}"\{.*\}"\}{32}$/)
  })

  test('A-4, A-7 lists nothing for an unknown or deleted organization or a device of another organization', async () => {
    await telemetry.write(deviceId, [{ n: 1 }])
    const other = await telemetry.createOrganization()
    for (const request of [{ organizationId: 'nobody' }, { organizationId: other, endDeviceId: deviceId }]) {
      expect(await query(request)).toMatchObject({ envelopes: [], nextPageToken: '' })
    }
    const deleted = await telemetry.createOrganization()
    await telemetry.write('gone', [{ n: 1 }], { organizationId: deleted })
    await telemetry.api.client.call(OrganizationService.method.deleteOrganization, { organizationId: deleted })
    expect((await query({ organizationId: deleted })).envelopes).toEqual([])
  })

  test('A-4 names the invalid field and the expected value', async () => {
    const wrong: [MessageInitShape<typeof QueryEnvelopesRequestSchema>, string][] = [
      [{ organizationId: ' ' }, 'organization_id is required and must not be blank'],
      [{ endDeviceId: 'x'.repeat(129) }, 'end_device_id is too long: 129 characters, at most 128'],
      [{ pageSize: -1 }, 'page_size must be 0 (which means 50) to 500, not -1'],
      [{ pageToken: 'nope' }, 'page_token is not a token of this list'],
      [{ fieldPaths: ['a', ''] }, 'field_paths is required and must not be blank'],
      [{ fieldPaths: ['a`; DROP TABLE x'] }, 'field_paths must not contain back quotes'],
      [{ fieldPaths: Array.from({ length: 51 }, (_, i) => `f${i}`) }, 'field_paths: 51 paths are too many: at most 50'],
      [{ from: { seconds: 5n }, to: { seconds: 5n } }, 'to must be later than from'],
    ]
    for (const [request, message] of wrong) {
      const { code, details } = await refusal(query(request))
      expect({ code, details }).toEqual({ code: Status.INVALID_ARGUMENT, details: expect.stringContaining(message) })
    }
  })

  test('A-5 rejects a token of another query', async () => {
    await telemetry.write(deviceId, [{ n: 1 }, { n: 2 }])
    const { nextPageToken: pageToken } = await query({ pageSize: 1 })
    const { code, details } = await refusal(query({ endDeviceId: deviceId, pageToken }))
    expect(code).toBe(Status.INVALID_ARGUMENT)
    expect(details).toMatch(/^page_token belongs to another query/)
  })

  test('A-9 logs the organization and none of the data', async () => {
    await telemetry.write(deviceId, [{ secret: 'do not log' }])
    await query()
    const method = 'ponix.analytics.v1.TelemetryService/QueryEnvelopes'
    expect(telemetry.api.log.find((line) => line['method'] === method)).toMatchObject({
      code: 'OK',
      organization_id: organizationId,
    })
    expect(JSON.stringify(telemetry.api.log)).not.toContain('do not log')
  })

  test('A-4 ends the query in ClickHouse when the caller cancels', async () => {
    await telemetry.makeEndless()
    const { path, requestSerialize, responseDeserialize } = grpcMethod(queryEnvelopes)
    const message = create(queryEnvelopes.input, { organizationId, endDeviceId: deviceId })
    const call = telemetry.api.channel.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, () => {})
    await expect.poll(() => telemetry.runningQueries()).toHaveLength(1)
    call.cancel()
    await expect.poll(() => telemetry.runningQueries()).toEqual([])
    const method = 'ponix.analytics.v1.TelemetryService/QueryEnvelopes'
    await expect
      .poll(() => telemetry.api.log.filter((line) => line['method'] === method))
      .toMatchObject([{ code: 'CANCELLED' }])
  })
})
