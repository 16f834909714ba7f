import { create, fromJson, toJson, type JsonValue as ProtoJsonValue } from '@bufbuild/protobuf'
import { ListValueSchema, type ListValue } from '@bufbuild/protobuf/wkt'
import type { Codec, CodecKind } from '../domain/codecs/codec.ts'
import type { DeviceProfile, ProfileExpectation, ProfileSample } from '../domain/codecs/device-profile.ts'
import type { Uplink } from '../domain/entities.ts'
import { MappingError, messageOf } from '../domain/errors.ts'
import { fromRfc3339, isStorable, STORABLE_YEARS, toRfc3339 } from '../domain/instant.ts'
import {
  CodecKind as ProtoCodecKind,
  DeviceProfileSchema,
  SampleSchema,
  type Codec as ProtoCodec,
  type DeviceProfile as ProtoDeviceProfile,
  type Sample as ProtoSample,
} from './gen/ponix/device_profile/v1/device_profile_pb.ts'
import { protoJson } from './envelope.ts'
import { decodeMessage, optionalInstant, timestampFromInstant } from './timestamp.ts'

export const CODEC_KIND = {
  cel: ProtoCodecKind.CEL,
  javascript: ProtoCodecKind.JAVASCRIPT,
  cayenne_lpp: ProtoCodecKind.CAYENNE_LPP,
} as const satisfies Record<CodecKind, ProtoCodecKind>

/** Returns the codec, or null for a missing one and one of an unknown kind. */
export function codecFromProto(codec: ProtoCodec | undefined): Codec | null {
  if (codec === undefined) return null
  const { kind: number, source } = codec
  for (const [kind, each] of Object.entries(CODEC_KIND))
    if (each === number && isCodecKind(kind)) return { kind, source }
  return null
}

function isCodecKind(name: string): name is CodecKind {
  return name in CODEC_KIND
}

export function deviceProfileToProto({ codecKind, codecSource, ...profile }: DeviceProfile): ProtoDeviceProfile {
  return create(DeviceProfileSchema, {
    profileId: profile.profileId,
    organizationId: profile.organizationId,
    name: profile.name,
    codec: { kind: CODEC_KIND[codecKind], source: codecSource },
    samples: profile.samples.map(sampleToProto),
    fields: profile.fields.map((field) => ({ ...field })),
    createdAt: timestampFromInstant(profile.createdAt),
    updatedAt: timestampFromInstant(profile.updatedAt),
  })
}

/** Returns the id of an encoded DeviceProfile. Throws a MappingError if it has none. */
export function decodeDeviceProfileId(bytes: Uint8Array): string {
  const { profileId } = decodeMessage(DeviceProfileSchema, bytes)
  if (profileId === '') throw new MappingError('device_profile.profile_id is missing')
  return profileId
}

export function sampleToProto({ name, payload, expected, ...sample }: ProfileSample): ProtoSample {
  const receivedAt = sample.receivedAt === undefined ? null : fromRfc3339(sample.receivedAt)
  return create(SampleSchema, {
    name,
    payload: Buffer.from(payload, 'hex'),
    ...uplinkToProto(sample),
    ...(receivedAt === null ? {} : { receivedAt: timestampFromInstant(receivedAt) }),
    ...(expected === undefined ? {} : { expected: expectationToProto(expected) }),
  })
}

function uplinkToProto({ fPort, fCnt, metadata }: Uplink) {
  return {
    ...(fPort === undefined ? {} : { fPort }),
    ...(fCnt === undefined ? {} : { fCnt }),
    ...(metadata === undefined ? {} : { metadata: protoJson(metadata) }),
  }
}

function expectationToProto(expected: ProfileExpectation): ProtoSample['expected'] {
  if ('error' in expected) return { case: 'error', value: expected.error }
  if ('data' in expected) return { case: 'data', value: protoJson(expected.data) }
  const { values } = protoJson({ values: expected.readings })
  return { case: 'readings', value: fromJson(ListValueSchema, values ?? []) }
}

/** Converts the sample at an index of a list. Throws a MappingError that names a field that cannot be stored. */
export function sampleFromProto(sample: ProtoSample, index: number): ProfileSample {
  const { name, payload } = sample
  const receivedAt = optionalInstant(sample.receivedAt)
  if (receivedAt !== null && !isStorable(receivedAt))
    throw new MappingError(`samples[${index}].received_at is outside the years ${STORABLE_YEARS}`)
  const expected = expectationFromProto(sample.expected, `samples[${index}]`)
  return {
    name,
    payload: Buffer.from(payload).toString('hex'),
    ...uplinkFromProto(sample),
    ...(receivedAt === null ? {} : { receivedAt: toRfc3339(receivedAt) }),
    ...(expected === undefined ? {} : { expected }),
  }
}

/** Returns the properties of an uplink that a message has. */
export function uplinkFromProto({ fPort, fCnt, metadata }: Pick<ProtoSample, 'fPort' | 'fCnt' | 'metadata'>): Uplink {
  return {
    ...(fPort === undefined ? {} : { fPort }),
    ...(fCnt === undefined ? {} : { fCnt }),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

function expectationFromProto(expected: ProtoSample['expected'], field: string): ProfileExpectation | undefined {
  switch (expected.case) {
    case 'error':
      return { error: expected.value }
    case 'data':
      return { data: expected.value }
    case 'readings':
      return { readings: listFromProto(expected.value, `${field}.readings`) }
    case undefined:
      return undefined
  }
}

function listFromProto(list: ListValue, field: string): ProtoJsonValue[] {
  try {
    const values = toJson(ListValueSchema, list)
    return Array.isArray(values) ? values : []
  } catch (error) {
    throw new MappingError(`${field}: ${messageOf(error)}`, { cause: error })
  }
}
