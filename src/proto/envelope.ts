import { create, type JsonValue as ProtoJsonValue } from '@bufbuild/protobuf'
import type { JsonObject, ProcessedEnvelope, RawEnvelope, Uplink } from '../domain/entities.ts'
import { MappingError } from '../domain/errors.ts'
import { LIMITS } from '../domain/fields.ts'
import type { Instant } from '../domain/instant.ts'
import {
  ProcessedEnvelopeSchema,
  RawEnvelopeSchema,
  type ProcessedEnvelope as ProtoProcessedEnvelope,
} from './gen/ponix/envelope/v1/envelope_pb.ts'
import { MessageReader, tagOf, WIRE } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'
import { readStruct, writeStruct } from './struct.ts'
import { decodeError, timestampFromInstant } from './timestamp.ts'

interface UplinkFields {
  readonly fPort: number
  readonly fCnt: number
  readonly metadata: number
}

const RAW_FIELD = { organizationId: 1, endDeviceId: 2, payload: 3, receivedAt: 4 } as const
const RAW_UPLINK: UplinkFields = { fPort: 5, fCnt: 6, metadata: 7 }
const FIELD = {
  endDeviceId: 1,
  occurredAt: 2,
  data: 3,
  processedAt: 4,
  organizationId: 5,
  receivedAt: 9,
  warnings: 10,
} as const
const UPLINK: UplinkFields = { fPort: 6, fCnt: 7, metadata: 8 }

const RAW = {
  organizationId: tagOf(RAW_FIELD.organizationId, WIRE.bytes),
  endDeviceId: tagOf(RAW_FIELD.endDeviceId, WIRE.bytes),
  payload: tagOf(RAW_FIELD.payload, WIRE.bytes),
  receivedAt: tagOf(RAW_FIELD.receivedAt, WIRE.bytes),
} as const
const RAW_UPLINK_TAGS = uplinkTags(RAW_UPLINK)

const PROCESSED = {
  endDeviceId: tagOf(FIELD.endDeviceId, WIRE.bytes),
  occurredAt: tagOf(FIELD.occurredAt, WIRE.bytes),
  data: tagOf(FIELD.data, WIRE.bytes),
  processedAt: tagOf(FIELD.processedAt, WIRE.bytes),
  organizationId: tagOf(FIELD.organizationId, WIRE.bytes),
  receivedAt: tagOf(FIELD.receivedAt, WIRE.bytes),
  warnings: tagOf(FIELD.warnings, WIRE.bytes),
} as const
const UPLINK_TAGS = uplinkTags(UPLINK)

const NO_BYTES = new Uint8Array()
const writer = new MessageWriter()

/** Encodes a RawEnvelope. Throws a MappingError for an id that is missing or too long. */
export function encodeRawEnvelope(envelope: RawEnvelope): Uint8Array {
  writer
    .begin()
    .string(RAW_FIELD.organizationId, requiredId('raw_envelope.organization_id', envelope.organizationId))
    .string(RAW_FIELD.endDeviceId, requiredId('raw_envelope.end_device_id', envelope.endDeviceId))
    .bytes(RAW_FIELD.payload, envelope.payload)
    .timestamp(RAW_FIELD.receivedAt, envelope.receivedAt)
  writeUplink(RAW_UPLINK, envelope.uplink)
  return writer.finish()
}

/** Decodes a RawEnvelope. Throws a MappingError unless ids, of bounded length, and time are present; the payload can be empty. */
export function decodeRawEnvelope(bytes: Uint8Array): RawEnvelope {
  let organizationId = ''
  let endDeviceId = ''
  let payload: Uint8Array = NO_BYTES
  let receivedAt: Instant | undefined
  let uplink: Uplink | undefined
  try {
    const reader = new MessageReader(bytes)
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === RAW.endDeviceId) endDeviceId = reader.string()
      else if (tag === RAW.receivedAt) receivedAt = reader.instant()
      else if (tag === RAW.payload) payload = reader.bytes()
      else if (tag === RAW.organizationId) organizationId = reader.string()
      else uplink = readUplink(RAW_UPLINK_TAGS, reader, tag, uplink)
    }
  } catch (error) {
    throw decodeError(RawEnvelopeSchema, error)
  }
  return {
    organizationId: requiredId('raw_envelope.organization_id', organizationId),
    endDeviceId: requiredId('raw_envelope.end_device_id', endDeviceId),
    payload,
    receivedAt: required('raw_envelope.received_at', receivedAt),
    uplink,
  }
}

/**
 * Encodes with MessageWriter because of the Struct (see struct.ts). Numbers become doubles: an integer beyond 2^53 must be a
 * string. Throws a MappingError for NaN and infinity.
 */
export function encodeProcessedEnvelope(envelope: ProcessedEnvelope): Uint8Array {
  writer.begin().string(FIELD.endDeviceId, envelope.endDeviceId).timestamp(FIELD.occurredAt, envelope.occurredAt)
  const data = writer.open(FIELD.data)
  writeStruct(writer, envelope.data)
  writer.close(data).timestamp(FIELD.processedAt, envelope.processedAt)
  writer.string(FIELD.organizationId, envelope.organizationId)
  writeUplink(UPLINK, envelope.uplink)
  writer.timestamp(FIELD.receivedAt, envelope.receivedAt)
  if (envelope.warnings !== undefined) for (const warning of envelope.warnings) writer.text(FIELD.warnings, warning)
  return writer.finish()
}

export function processedEnvelopeToProto(envelope: ProcessedEnvelope): ProtoProcessedEnvelope {
  const { organizationId, endDeviceId, occurredAt, processedAt, receivedAt, data, warnings, uplink } = envelope
  return create(ProcessedEnvelopeSchema, {
    organizationId,
    endDeviceId,
    occurredAt: timestampFromInstant(occurredAt),
    processedAt: timestampFromInstant(processedAt),
    ...(receivedAt !== undefined && { receivedAt: timestampFromInstant(receivedAt) }),
    data: protoJson(data),
    ...(warnings !== undefined && { warnings: [...warnings] }),
    ...uplinkToProto(uplink),
  })
}

function uplinkToProto({ metadata, ...numbers }: Uplink = {}) {
  return metadata === undefined ? numbers : { ...numbers, metadata: protoJson(metadata) }
}

/** Returns the same object as JSON of protobuf-es. */
export function protoJson(object: JsonObject): Record<string, ProtoJsonValue> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- protobuf-es declares JSON as mutable, and only reads it
  return object as Record<string, ProtoJsonValue>
}

/** Decodes a ProcessedEnvelope; missing data is an empty object. Throws a MappingError unless it is complete. */
export function decodeProcessedEnvelope(bytes: Uint8Array): ProcessedEnvelope {
  let organizationId = ''
  let endDeviceId = ''
  let occurredAt: Instant | undefined
  let processedAt: Instant | undefined
  let receivedAt: Instant | undefined
  let warnings: string[] | undefined
  let data: JsonObject = {}
  let uplink: Uplink | undefined
  try {
    const reader = new MessageReader(bytes)
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === PROCESSED.endDeviceId) endDeviceId = reader.string()
      else if (tag === PROCESSED.occurredAt) occurredAt = reader.instant()
      else if (tag === PROCESSED.data) data = readStruct(reader)
      else if (tag === PROCESSED.processedAt) processedAt = reader.instant()
      else if (tag === PROCESSED.organizationId) organizationId = reader.string()
      else if (tag === PROCESSED.receivedAt) receivedAt = reader.instant()
      else if (tag === PROCESSED.warnings) (warnings ??= []).push(reader.string())
      else uplink = readUplink(UPLINK_TAGS, reader, tag, uplink)
    }
  } catch (error) {
    throw decodeError(ProcessedEnvelopeSchema, error)
  }
  return {
    organizationId: requiredId('processed_envelope.organization_id', organizationId),
    endDeviceId: requiredId('processed_envelope.end_device_id', endDeviceId),
    occurredAt: required('processed_envelope.occurred_at', occurredAt),
    processedAt: required('processed_envelope.processed_at', processedAt),
    receivedAt,
    data,
    warnings,
    uplink,
  }
}

function uplinkTags({ fPort, fCnt, metadata }: UplinkFields): UplinkFields {
  return { fPort: tagOf(fPort, WIRE.varint), fCnt: tagOf(fCnt, WIRE.varint), metadata: tagOf(metadata, WIRE.bytes) }
}

function writeUplink(fields: UplinkFields, uplink: Uplink | undefined): void {
  if (uplink === undefined) return
  const { fPort, fCnt, metadata } = uplink
  if (fPort !== undefined) writer.choice(fields.fPort, fPort)
  if (fCnt !== undefined) writer.choice(fields.fCnt, fCnt)
  if (metadata === undefined) return
  const start = writer.open(fields.metadata)
  writeStruct(writer, metadata)
  writer.close(start)
}

/** Reads a field of an uplink, or skips an unknown field; returns the uplink so far. */
function readUplink(tags: UplinkFields, reader: MessageReader, tag: number, uplink?: Uplink): Uplink | undefined {
  // Parsers keep the low 32 bits of a longer uint32 (protobuf.dev, encoding).
  if (tag === tags.fPort) return { ...uplink, fPort: reader.varint() >>> 0 }
  if (tag === tags.fCnt) return { ...uplink, fCnt: reader.varint() >>> 0 }
  if (tag === tags.metadata) return { ...uplink, metadata: readStruct(reader) }
  reader.skip(tag)
  return uplink
}

/** Bounds ids: they are keys of caches and parts of subjects, and NATS closes the connection for a subject of more than 4 KiB. */
function requiredId(field: string, id: string): string {
  if (id.length <= LIMITS.id) return required(field, id)
  throw new MappingError(`${field} is too long: ${id.length} characters, at most ${LIMITS.id}`)
}

function required<T extends string | Instant>(field: string, value: T | undefined): T {
  if (value === undefined || value === '') throw new MappingError(`${field} is missing`)
  return value
}
