import { create, fromBinary, toBinary, type JsonValue as ProtoJsonValue } from '@bufbuild/protobuf'
import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire'
import { TimestampSchema, type Timestamp } from '@bufbuild/protobuf/wkt'
import type { ProcessedEnvelope, RawEnvelope } from '../domain/envelope.ts'
import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from '../domain/gateway.ts'
import { decodeMessage, notA } from './binary.ts'
import { MappingError } from './errors.ts'
import { MessageWriter } from './message-writer.ts'
import {
  ProcessedEnvelopeSchema,
  RawEnvelopeSchema,
  type ProcessedEnvelope as ProtoProcessedEnvelope,
} from './gen/ponix/envelope/v1/envelope_pb.ts'
import { forEachField, readStruct, writeStruct } from './struct.ts'
import { requiredInstant, timestampFromInstant } from './timestamp.ts'

/** The field numbers of ProcessedEnvelope. */
const FIELD = { endDeviceId: 1, occurredAt: 2, data: 3, processedAt: 4, organizationId: 5 } as const

const writer = new MessageWriter()

export function encodeRawEnvelope(envelope: RawEnvelope): Uint8Array {
  return toBinary(
    RawEnvelopeSchema,
    create(RawEnvelopeSchema, {
      organizationId: envelope.organizationId,
      endDeviceId: envelope.endDeviceId,
      payload: envelope.payload,
      receivedAt: timestampFromInstant(envelope.receivedAt),
    }),
  )
}

/** Throws a MappingError for anything but a whole RawEnvelope: both ids and the time must be there, the payload may be empty. */
export function decodeRawEnvelope(bytes: Uint8Array): RawEnvelope {
  const message = decodeMessage(RawEnvelopeSchema, bytes)
  return {
    organizationId: requiredId('raw_envelope.organization_id', message.organizationId),
    endDeviceId: requiredId('raw_envelope.end_device_id', message.endDeviceId),
    payload: message.payload,
    receivedAt: requiredInstant('raw_envelope.received_at', message.receivedAt),
  }
}

/**
 * Written by hand for the sake of the Struct in it (see struct.ts). Numbers travel as doubles: an integer beyond 2^53 must be
 * a string already. Throws a MappingError for NaN and infinity.
 */
export function encodeProcessedEnvelope(envelope: ProcessedEnvelope): Uint8Array {
  writer.begin().string(FIELD.endDeviceId, envelope.endDeviceId).timestamp(FIELD.occurredAt, envelope.occurredAt)
  const data = writer.open(FIELD.data)
  writeStruct(writer, envelope.data)
  writer.close(data).timestamp(FIELD.processedAt, envelope.processedAt)
  return writer.string(FIELD.organizationId, envelope.organizationId).finish()
}

/** The message itself, to be a part of another one. */
export function processedEnvelopeToProto(envelope: ProcessedEnvelope): ProtoProcessedEnvelope {
  const { organizationId, endDeviceId, occurredAt, processedAt, data } = envelope
  return create(ProcessedEnvelopeSchema, {
    organizationId,
    endDeviceId,
    occurredAt: timestampFromInstant(occurredAt),
    processedAt: timestampFromInstant(processedAt),
    data: changeable(data),
  })
}

/** A copy, since protobuf-es asks for objects that may be changed. */
function changeable(object: JsonObject): Record<string, ProtoJsonValue> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, changeableValue(value)]))
}

function changeableValue(value: JsonValue): ProtoJsonValue {
  if (isJsonObject(value)) return changeable(value)
  return isJsonList(value) ? value.map(changeableValue) : value
}

/** Throws a MappingError for anything but a whole ProcessedEnvelope; absent data is the empty object. */
export function decodeProcessedEnvelope(bytes: Uint8Array): ProcessedEnvelope {
  const found = readProcessedEnvelope(bytes)
  return {
    organizationId: requiredId('processed_envelope.organization_id', found.organizationId),
    endDeviceId: requiredId('processed_envelope.end_device_id', found.endDeviceId),
    occurredAt: requiredInstant('processed_envelope.occurred_at', found.occurredAt),
    processedAt: requiredInstant('processed_envelope.processed_at', found.processedAt),
    data: found.data,
  }
}

interface FoundFields {
  endDeviceId: string
  organizationId: string
  occurredAt: Timestamp | undefined
  processedAt: Timestamp | undefined
  data: JsonObject
}

function readProcessedEnvelope(bytes: Uint8Array): FoundFields {
  const found: FoundFields = {
    endDeviceId: '',
    organizationId: '',
    occurredAt: undefined,
    processedAt: undefined,
    data: {},
  }
  const reader = new BinaryReader(bytes)
  try {
    forEachField(reader, bytes.length, (field, wireType) => readEnvelopeField(reader, found, field, wireType))
  } catch (error) {
    throw notA(ProcessedEnvelopeSchema, error)
  }
  return found
}

function readEnvelopeField(reader: BinaryReader, found: FoundFields, field: number, wireType: WireType): void {
  if (field === FIELD.endDeviceId) found.endDeviceId = reader.string()
  else if (field === FIELD.occurredAt) found.occurredAt = fromBinary(TimestampSchema, reader.bytes())
  else if (field === FIELD.data) found.data = readStruct(reader, reader.uint32())
  else if (field === FIELD.processedAt) found.processedAt = fromBinary(TimestampSchema, reader.bytes())
  else if (field === FIELD.organizationId) found.organizationId = reader.string()
  else reader.skip(wireType, field)
}

function requiredId(field: string, id: string): string {
  if (id === '') throw new MappingError(`${field} is missing`)
  return id
}
