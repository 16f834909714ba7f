import type { Codec } from './codec.ts'
import type { Uplink } from '../entities.ts'
import { DomainError } from '../errors.ts'
import { found, invalid, optionalText, requiredId } from '../fields.ts'
import { isStorable, STORABLE_YEARS, type Instant } from '../instant.ts'
import type {
  CallOptions,
  CodecRunner,
  DeviceProfileRepository,
  EndDeviceRepository,
  OrganizationRepository,
  PayloadConversionChecker,
} from '../ports.ts'
import { readingsOf, type Reading } from './reading.ts'
import { encodedBytes } from '../telemetry.ts'

/** The codec to test: a new one, which is checked as if it were stored, or that of a profile or a device. */
export type TestedConversion =
  | { readonly payloadConversion: string }
  /** Null for a codec of an unknown kind. */
  | { readonly codec: Codec | null }
  | { readonly profileId: string }
  | { readonly deviceId: string }

export interface ConversionTestInput {
  readonly organizationId: string
  /** Null if the caller sent none. */
  readonly conversion: TestedConversion | null
  readonly payload: Uint8Array
  readonly receivedAt: Instant
  readonly uplink: Uplink
}

/** The rows that the payload would become, or the reason why it would become a dead letter. */
export type ConversionTest =
  | { readonly ok: true; readonly readings: readonly Reading[]; readonly warnings: readonly string[] }
  /** `line` and `column` are from 1; 0 if the position in the source is not known. */
  | { readonly ok: false; readonly message: string; readonly line: number; readonly column: number }

export interface ConversionTestParts {
  readonly organizations: Pick<OrganizationRepository, 'get'>
  readonly endDevices: Pick<EndDeviceRepository, 'get'>
  readonly profiles: Pick<DeviceProfileRepository, 'get'>
  readonly conversions: PayloadConversionChecker
  readonly runner: CodecRunner
}

/** The limit of the readings of an answer: gRPC clients accept responses of 4 MiB, and the rest is reserved for the other fields. */
const ANSWER_BYTES = 3 * 1024 * 1024
const POSITION = /^line (\d+)(?:, column (\d+))?: ([^]*)$/

/** Runs codecs on single payloads, without storing anything. Throws DomainError. */
export class ConversionTestService {
  readonly #parts: ConversionTestParts

  constructor(parts: ConversionTestParts) {
    this.#parts = parts
  }

  /** Runs a codec; its failure is a result. */
  async test(input: ConversionTestInput, options?: CallOptions): Promise<ConversionTest> {
    const { conversion, payload, receivedAt, uplink } = input
    const organizationId = requiredId('organization_id', input.organizationId)
    if (conversion === null) throw invalid('payload_conversion, codec, profile_id or device_id is required')
    if (!isStorable(receivedAt)) throw invalid(`received_at is outside the years ${STORABLE_YEARS}`)
    found('Organization', organizationId, await this.#parts.organizations.get(organizationId, options))
    const codec = await this.#codecOf(conversion, organizationId, options)
    const fault = isNew(conversion) && codec.kind === 'cel' ? this.#parts.conversions.check(codec.source) : undefined
    if (fault?.ok === false) return fault
    const outcome = await this.#parts.runner.run(organizationId, codec, payload, { receivedAt, uplink })
    if (!outcome.ok) return failureOf(outcome.reason)
    const result = readingsOf(outcome.data, receivedAt)
    if (!result.ok) return failureOf(result.reason)
    assertAnswerable(result.readings)
    return { ok: true, readings: result.readings, warnings: outcome.warnings ?? [] }
  }

  async #codecOf(conversion: TestedConversion, organizationId: string, options?: CallOptions): Promise<Codec> {
    if ('payloadConversion' in conversion) {
      return withSource('payload_conversion', { kind: 'cel', source: conversion.payloadConversion })
    }
    if ('codec' in conversion) {
      if (conversion.codec === null) throw invalid('codec.kind must be CEL, JAVASCRIPT or CAYENNE_LPP')
      return withSource('codec.source', conversion.codec)
    }
    if ('profileId' in conversion) {
      return await this.#codecOfProfile(requiredId('profile_id', conversion.profileId), organizationId, options)
    }
    const deviceId = requiredId('device_id', conversion.deviceId)
    const stored = await this.#parts.endDevices.get(deviceId, options)
    const device = found('End device', deviceId, stored?.organizationId === organizationId ? stored : null)
    if (device.payloadConversion !== '') return { kind: 'cel', source: device.payloadConversion }
    if (device.profileId !== '') return await this.#codecOfProfile(device.profileId, organizationId, options)
    throw new DomainError(
      'failed_precondition',
      `End device ${deviceId} has neither a payload_conversion nor a profile_id; set one of them (UpdateEndDevice)`,
    )
  }

  /** A profile of another organization is reported as not found. */
  async #codecOfProfile(profileId: string, organizationId: string, options?: CallOptions): Promise<Codec> {
    const stored = await this.#parts.profiles.get(profileId, options)
    const isUsable = stored?.organizationId === organizationId || stored?.organizationId === ''
    const { codecKind: kind, codecSource: source } = found('Device profile', profileId, isUsable ? stored : null)
    return { kind, source }
  }
}

function isNew(conversion: TestedConversion): boolean {
  return 'payloadConversion' in conversion || 'codec' in conversion
}

function withSource(field: string, codec: Codec): Codec {
  optionalText(field, codec.source, Infinity)
  if (codec.kind !== 'cayenne_lpp' && codec.source.trim() === '') {
    throw invalid(`${field} is required and must not be blank`)
  }
  return codec
}

/** Returns a reason without the position with which it begins. */
function failureOf(reason: string): ConversionTest {
  const [, line = '0', column = '0', message = reason] = POSITION.exec(reason) ?? []
  return { ok: false, message, line: Number(line), column: Number(column) }
}

function assertAnswerable(readings: readonly Reading[]): void {
  const bytes = readings.reduce((sum, { data }) => sum + encodedBytes(data), 0)
  if (bytes <= ANSWER_BYTES) return
  throw new DomainError(
    'failed_precondition',
    `The codec works, but its readings are too large for an answer: ${bytes} bytes, at most ${ANSWER_BYTES}`,
  )
}
