import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Instant } from '../../src/domain/instant.ts'
import { Row, type RowValue } from '../../src/postgres/replication/change.ts'
import { CodecKind, DeviceProfileSchema } from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { EndDeviceSchema } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewaySchema, GatewayStatus } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationSchema, OrganizationStatus } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { timestampFromInstant } from '../../src/proto/timestamp.ts'
import { deviceProfileEntity, endDeviceEntity, gatewayEntity, organizationEntity } from './entities.ts'
import type { Entity } from './entity.ts'

const texts = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ minLength: 100, maxLength: 400 }),
  fc.constant(null),
)
const keys = fc.string({ unit: 'grapheme', minLength: 1 })
const instants = fc.option(fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n }))
const days = fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 }))
const statuses = fc.constantFrom('active', 'pending', 'inactive', 'error', 'other', null)

const ORGANIZATION: Readonly<Record<string, OrganizationStatus>> = {
  active: OrganizationStatus.ACTIVE,
  pending: OrganizationStatus.PENDING,
  inactive: OrganizationStatus.INACTIVE,
}
const GATEWAY: Readonly<Record<string, GatewayStatus>> = {
  active: GatewayStatus.ACTIVE,
  pending: GatewayStatus.PENDING,
  error: GatewayStatus.ERROR,
}

const timestamp = (value: Instant | null) => (value === null ? undefined : timestampFromInstant(value))

function bodyOf(entity: Entity, row: Readonly<Record<string, RowValue>>): Uint8Array {
  const names = Object.keys(row)
  const layout = new Map(names.map((name, index) => [name, index]))
  return entity.convert({ operation: 'insert', old: null, new: new Row(layout, Object.values(row)) })
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
describe('the encoded bodies of events', () => {
  test('C-1: the bodies of organizations equal those of protobuf-es', () => {
    const times = { created_at: instants, updated_at: instants, deleted_at: instants }
    fc.assert(
      fc.property(fc.record({ id: keys, name: texts, status: statuses, retention_days: days, ...times }), (row) => {
        const message = create(OrganizationSchema, { id: row.id, name: row.name ?? '' })
        message.status = ORGANIZATION[row.status ?? ''] ?? OrganizationStatus.UNSPECIFIED
        message.createdAt = timestamp(row.created_at)
        message.updatedAt = timestamp(row.updated_at)
        message.deletedAt = timestamp(row.deleted_at)
        message.retentionDays = row.retention_days ?? 0
        expect(hex(bodyOf(organizationEntity, row))).toBe(hex(toBinary(OrganizationSchema, message)))
      }),
    )
  })

  test('C-1: the bodies of gateways equal those of protobuf-es', () => {
    const times = { created_at: instants, updated_at: instants, deleted_at: instants }
    const more = { organization_id: texts, gateway_type: texts, gateway_config: texts }
    fc.assert(
      fc.property(fc.record({ gateway_id: keys, name: texts, status: statuses, ...more, ...times }), (row) => {
        const message = create(GatewaySchema, { gatewayId: row.gateway_id, name: row.name ?? '' })
        message.organizationId = row.organization_id ?? ''
        message.gatewayType = row.gateway_type ?? ''
        message.gatewayConfig = row.gateway_config ?? ''
        message.status = GATEWAY[row.status ?? ''] ?? GatewayStatus.UNSPECIFIED
        message.createdAt = timestamp(row.created_at)
        message.updatedAt = timestamp(row.updated_at)
        message.deletedAt = timestamp(row.deleted_at)
        expect(hex(bodyOf(gatewayEntity, row))).toBe(hex(toBinary(GatewaySchema, message)))
      }),
    )
  })

  test('C-1: the bodies of end devices equal those of protobuf-es', () => {
    const times = { created_at: instants, updated_at: instants }
    const more = { organization_id: texts, payload_conversion: texts, external_id: texts, profile_id: texts, ...times }
    fc.assert(
      fc.property(fc.record({ device_id: keys, name: texts, ...more }), (row) => {
        const message = create(EndDeviceSchema, { deviceId: row.device_id, name: row.name ?? '' })
        message.organizationId = row.organization_id ?? ''
        message.payloadConversion = row.payload_conversion ?? ''
        message.externalId = row.external_id ?? ''
        message.profileId = row.profile_id ?? ''
        message.createdAt = timestamp(row.created_at)
        message.updatedAt = timestamp(row.updated_at)
        expect(hex(bodyOf(endDeviceEntity, row))).toBe(hex(toBinary(EndDeviceSchema, message)))
      }),
    )
  })

  test.each([
    ['cel', CodecKind.CEL],
    ['javascript', CodecKind.JAVASCRIPT],
    ['cayenne_lpp', CodecKind.CAYENNE_LPP],
    ['later', CodecKind.UNSPECIFIED],
  ])('C-1: the body of a device profile has the codec kind %s, and no samples', (codec_kind, kind) => {
    const row = { profile_id: 'p', organization_id: null, name: 'N', codec_kind, codec_source: 's', created_at: 5n }
    const message = fromBinary(DeviceProfileSchema, bodyOf(deviceProfileEntity, { ...row, updated_at: 7n }))
    expect(message).toEqual(
      create(DeviceProfileSchema, {
        profileId: 'p',
        name: 'N',
        codec: { kind, source: 's' },
        createdAt: timestampFromInstant(5n),
        updatedAt: timestampFromInstant(7n),
      }),
    )
  })

  test('C-3: a failed conversion leaves no bytes in the next body', () => {
    expect(() => bodyOf(organizationEntity, { id: 'late', name: 'x', created_at: 10n ** 18n })).toThrow(
      'created_at: 1000000000000000000 µs since 1970 is out of range; expected 0001-01-01 to 9999-12-31',
    )
    const alone = toBinary(OrganizationSchema, create(OrganizationSchema, { id: 'a' }))
    expect(hex(bodyOf(organizationEntity, { id: 'a' }))).toBe(hex(alone))
  })
})
