import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndDevice, Gateway, JsonObject, JsonValue, Organization, Uplink } from '../domain/entities.ts'
import { MappingError } from '../domain/errors.ts'
import {
  decodeEndDevice,
  endDeviceToProto,
  decodeGateway,
  gatewayToProto,
  decodeOrganization,
  organizationToProto,
} from './entities.ts'
import {
  decodeProcessedEnvelope,
  decodeRawEnvelope,
  encodeProcessedEnvelope,
  encodeRawEnvelope,
  processedEnvelopeToProto,
} from './envelope.ts'
import { EndDeviceSchema } from './gen/ponix/end_device/v1/end_device_pb.ts'
import { ProcessedEnvelopeSchema, RawEnvelopeSchema } from './gen/ponix/envelope/v1/envelope_pb.ts'
import { GatewaySchema, GatewayStatus } from './gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationSchema } from './gen/ponix/organization/v1/organization_pb.ts'
import { instantFromTimestamp, timestampFromInstant } from './timestamp.ts'

// 0001-01-01 to 9999-12-31, the range of google.protobuf.Timestamp.
const instant = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n })
// Strings with unpaired surrogates have no UTF-8 encoding, so protobuf cannot contain them.
const text = fc.string({ unit: 'grapheme' })
const id = fc.string({ unit: 'grapheme', minLength: 1 })
const { value: jsonValue } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
}))
const json: fc.Arbitrary<JsonObject> = fc.dictionary(text, jsonValue)

/** protobuf-es loses a key named `__proto__`. */
const plainJson = json.filter((value) => !JSON.stringify(value).includes('"__proto__":'))
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const uplink: fc.Arbitrary<Uplink | undefined> = fc.option(
  fc
    .record({ fPort: uint32, fCnt: uint32, metadata: json }, { requiredKeys: [] })
    .filter((value) => Object.keys(value).length > 0),
  { nil: undefined },
)

test('W-2 a Timestamp keeps the microseconds of an Instant, even before 1970', () => {
  expect(timestampFromInstant(-1n)).toMatchObject({ seconds: -1n, nanos: 999_999_000 })
  expect(instantFromTimestamp(timestampFromInstant(2n ** 63n - 1n))).toBe(253_402_300_799_999_999n)
  fc.assert(fc.property(instant, (value) => instantFromTimestamp(timestampFromInstant(value)) === value))
})

test('W-2 an organization round-trips', () => {
  const organization: fc.Arbitrary<Organization> = fc.record({
    id: text,
    name: text,
    status: fc.constantFrom('pending', 'active', 'inactive'),
    retentionDays: fc.integer({ min: 0, max: 36_500 }),
    createdAt: instant,
    updatedAt: instant,
    deletedAt: fc.option(instant),
  })
  fc.assert(
    fc.property(organization, (value) => {
      expect(decodeOrganization(toBinary(OrganizationSchema, organizationToProto(value)))).toEqual(value)
    }),
  )
})

test('W-2 an end device round-trips', () => {
  const device: fc.Arbitrary<EndDevice> = fc.record({
    deviceId: text,
    organizationId: text,
    name: text,
    payloadConversion: text,
    externalId: text,
    profileId: text,
    createdAt: instant,
    updatedAt: instant,
    lastSeenAt: fc.option(instant),
  })
  fc.assert(
    fc.property(device, (value) => {
      expect(decodeEndDevice(toBinary(EndDeviceSchema, endDeviceToProto(value)))).toEqual(value)
    }),
  )
})

test('W-2 a gateway round-trips', () => {
  const gateway: fc.Arbitrary<Gateway> = fc.record({
    gatewayId: text,
    organizationId: text,
    name: text,
    gatewayType: text,
    gatewayConfig: fc.dictionary(text, fc.oneof(fc.constant(null), fc.integer(), text, fc.array(text))),
    status: fc.constantFrom('active', 'error', 'pending'),
    createdAt: instant,
    updatedAt: instant,
    deletedAt: fc.option(instant),
  })
  fc.assert(
    fc.property(gateway, (value) => {
      expect(decodeGateway(toBinary(GatewaySchema, gatewayToProto(value)))).toEqual(value)
    }),
  )
})

test('W-2 a raw envelope round-trips, and one without ids or time is rejected', () => {
  const envelope = fc.record({
    organizationId: id,
    endDeviceId: id,
    payload: fc.uint8Array(),
    receivedAt: instant,
    uplink,
  })
  fc.assert(
    fc.property(envelope, (value) => {
      expect(decodeRawEnvelope(encodeRawEnvelope(value))).toEqual(value)
    }),
  )
  const anonymous = toBinary(RawEnvelopeSchema, create(RawEnvelopeSchema, { organizationId: 'o' }))
  expect(() => decodeRawEnvelope(anonymous)).toThrow(new MappingError('raw_envelope.end_device_id is missing'))
})

test('W-2 a raw envelope is encoded and decoded as by protobuf-es', () => {
  const properties = fc.option(fc.record({ fPort: uint32, fCnt: uint32, metadata: plainJson }), { nil: undefined })
  fc.assert(
    fc.property(id, fc.uint8Array({ maxLength: 300 }), instant, properties, (endDeviceId, payload, at, more) => {
      const ours = { organizationId: 'o', endDeviceId, payload, receivedAt: at, uplink: more }
      const bytes = encodeRawEnvelope(ours)
      const theirs = fromBinary(RawEnvelopeSchema, bytes)
      expect(theirs).toMatchObject({ organizationId: 'o', endDeviceId, ...more })
      expect(Buffer.from(theirs.payload).equals(Buffer.from(payload))).toBe(true)
      expect(decodeRawEnvelope(toBinary(RawEnvelopeSchema, theirs))).toEqual(ours)
    }),
  )
})

test('W-2 an envelope without properties of an uplink has no bytes for them', () => {
  const raw = { organizationId: 'o', endDeviceId: 'd', payload: new Uint8Array(1), receivedAt: 1_000_000n }
  expect(Buffer.from(encodeRawEnvelope(raw)).toString('hex')).toBe('0a016f1201641a010022020801')
  const zero = decodeRawEnvelope(encodeRawEnvelope({ ...raw, uplink: { fPort: 0, fCnt: 0 } }))
  expect(zero.uplink).toEqual({ fPort: 0, fCnt: 0 })
})

const warnings = fc.option(fc.array(fc.string(), { minLength: 1 }), { nil: undefined })

test('W-2 a processed envelope round-trips', () => {
  const envelope = fc.record({
    organizationId: id,
    endDeviceId: id,
    occurredAt: instant,
    processedAt: instant,
    receivedAt: fc.option(instant, { nil: undefined }),
    data: json,
    warnings,
    uplink,
  })
  fc.assert(
    fc.property(envelope, (value) => {
      expect(decodeProcessedEnvelope(encodeProcessedEnvelope(value))).toEqual(value)
    }),
  )
})

test('B-2: an envelope with an id of more than 128 characters is rejected', () => {
  const raw = {
    organizationId: 'o'.repeat(128),
    endDeviceId: 'd'.repeat(128),
    payload: new Uint8Array(),
    receivedAt: 0n,
  }
  const processed = { organizationId: 'o', endDeviceId: 'd', occurredAt: 0n, processedAt: 0n, data: {} }
  const long = 'x'.repeat(129)
  expect(decodeRawEnvelope(encodeRawEnvelope(raw))).toEqual(raw)
  for (const field of ['organizationId', 'endDeviceId']) {
    const name = field === 'endDeviceId' ? 'end_device_id' : 'organization_id'
    const problem = (type: string) => new MappingError(`${type}.${name} is too long: 129 characters, at most 128`)
    expect(() => encodeRawEnvelope({ ...raw, [field]: long })).toThrow(problem('raw_envelope'))
    const encodedRaw = toBinary(RawEnvelopeSchema, create(RawEnvelopeSchema, { ...raw, receivedAt: {}, [field]: long }))
    expect(() => decodeRawEnvelope(encodedRaw)).toThrow(problem('raw_envelope'))
    const encoded = encodeProcessedEnvelope({ ...processed, [field]: long })
    expect(() => decodeProcessedEnvelope(encoded)).toThrow(problem('processed_envelope'))
  }
})

test('W-2 invalid bytes are rejected with a MappingError that names the type', () => {
  const garbage = Uint8Array.of(0xff, 0xff, 0xff)
  expect(() => decodeGateway(garbage)).toThrow(/^not a ponix.gateway.v1.Gateway: /)
  expect(() => decodeRawEnvelope(garbage)).toThrow(MappingError)
})

test.each(['[1]', '"x"', 'null', '{'])('W-2 a gateway with config %s is rejected', (gatewayConfig) => {
  const body = toBinary(GatewaySchema, create(GatewaySchema, { status: GatewayStatus.ACTIVE, gatewayConfig }))
  expect(() => decodeGateway(body)).toThrow(/gateway_config is not/)
})

test('W-2 a processed envelope is encoded and decoded as by protobuf-es', () => {
  const properties = fc.option(fc.record({ fPort: uint32, fCnt: uint32, metadata: plainJson }), { nil: undefined })
  fc.assert(
    fc.property(id, instant, plainJson, properties, warnings, (endDeviceId, at, value, more, warned) => {
      const times = { occurredAt: at, processedAt: at, receivedAt: more === undefined ? undefined : at }
      const ours = { organizationId: 'o', endDeviceId, ...times, data: value, warnings: warned, uplink: more }
      const theirs = fromBinary(ProcessedEnvelopeSchema, encodeProcessedEnvelope(ours))
      expect(theirs).toMatchObject({ organizationId: 'o', endDeviceId, data: value })
      expect(instantFromTimestamp(theirs.processedAt ?? timestampFromInstant(0n))).toBe(at)
      expect(decodeProcessedEnvelope(toBinary(ProcessedEnvelopeSchema, theirs))).toEqual(ours)
      expect(processedEnvelopeToProto(ours)).toEqual(theirs)
    }),
  )
})

test('W-2 a processed envelope is encoded even if its length prefixes take more bytes', () => {
  const lengths = [...Array.from({ length: 40 }, (_, index) => 95 + index), 16_360, 16_370, 16_380, 16_390, 2_097_150]
  for (const length of lengths) {
    const data = { list: [{ long: 'x'.repeat(length) }, null, true, -0.5, ''], '': { after: 'ü' } }
    const ours = { organizationId: 'o', endDeviceId: 'd', occurredAt: -1n, processedAt: 0n, data }
    expect(fromBinary(ProcessedEnvelopeSchema, encodeProcessedEnvelope(ours))).toMatchObject({ data })
  }
})

test('W-2 a Struct keeps a key named __proto__', () => {
  const data: JsonObject = JSON.parse('{"__proto__": {"polluted": true}, "a": {"__proto__": 1}}')
  const envelope = { organizationId: 'o', endDeviceId: 'd', occurredAt: 0n, processedAt: 0n, data }
  const back = decodeProcessedEnvelope(encodeProcessedEnvelope(envelope)).data
  expect(JSON.stringify(back)).toBe('{"__proto__":{"polluted":true},"a":{"__proto__":1}}')
  expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
})

test('P-4 NaN, infinity and a Struct nested too deep are rejected', () => {
  const envelope = { organizationId: 'o', endDeviceId: 'd', occurredAt: 0n, processedAt: 0n }
  expect(() => encodeProcessedEnvelope({ ...envelope, data: { a: [Number.NaN] } })).toThrow('NaN is not a JSON number')
  let deep: JsonObject = {}
  for (let level = 0; level < 10_000; level += 1) deep = { deep }
  expect(() => encodeProcessedEnvelope({ ...envelope, data: deep })).toThrow('nested deeper than 100 levels')
})

test('W-2 every prefix of a processed envelope is rejected or lacks a field', () => {
  const data = { list: [1, 'x', { y: null }], flag: true }
  const whole = encodeProcessedEnvelope({
    organizationId: 'o',
    endDeviceId: 'd',
    occurredAt: 1n,
    processedAt: 2n,
    data,
  })
  for (let length = 0; length < whole.length; length += 1) {
    expect(() => decodeProcessedEnvelope(whole.subarray(0, length))).toThrow(MappingError)
  }
})
