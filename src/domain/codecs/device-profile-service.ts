import { sourceSizeError, type Codec } from './codec.ts'
import type { DeviceProfile, ProfileField, ProfileSample } from './device-profile.ts'
import { EntityService } from '../entity-services.ts'
import { DomainError } from '../errors.ts'
import { assertStorable, invalid, LIMITS, optionalBytes, optionalText, requiredText } from '../fields.ts'
import type { IdGenerator } from '../ids.ts'
import { limitPage, pageOutput, pageRequest, type PageInput, type PageOutput } from '../paging.ts'
import type {
  CallOptions,
  CodecRunner,
  DeviceProfileChange,
  DeviceProfileRepository,
  PayloadConversionChecker,
} from '../ports.ts'
import { assertSamplesPass, type SampledCodec } from './profile-samples.ts'

/** The limit of sources in a page: gRPC clients accept responses of 4 MiB, and the rest is reserved for the other fields. */
const PAGE_SOURCE_BYTES = 3 * 1024 * 1024
/** The limit of test runs of an update whose profile changes meanwhile. */
const MAX_ATTEMPTS = 5

/** `codec` is null if the caller sent none, or one of an unknown kind. */
export interface NewDeviceProfileInput extends Pick<DeviceProfile, 'organizationId' | 'name' | 'samples' | 'fields'> {
  readonly codec: Codec | null
  /** Stores the profile without running the samples. */
  readonly skipSamples: boolean
}

/** Undefined keeps a value. `codec` is null if the caller sent one of an unknown kind. */
export interface DeviceProfileChangeInput {
  readonly name?: string | undefined
  readonly codec?: Codec | null | undefined
  readonly samples?: readonly ProfileSample[] | undefined
  readonly fields?: readonly ProfileField[] | undefined
  readonly skipSamples: boolean
}

export class DeviceProfileService extends EntityService<DeviceProfile, DeviceProfileRepository> {
  readonly #conversions: PayloadConversionChecker
  readonly #runner: CodecRunner

  constructor(
    profiles: DeviceProfileRepository,
    newId: IdGenerator,
    conversions: PayloadConversionChecker,
    runner: CodecRunner,
  ) {
    super(profiles, newId, 'Device profile', 'profile_id')
    this.#conversions = conversions
    this.#runner = runner
  }

  /** Creates a profile; an empty `organizationId` shares it with all organizations. Every sample must pass. */
  async create(input: NewDeviceProfileInput, options?: CallOptions): Promise<DeviceProfile> {
    const codec = this.#checked(input.codec)
    const profile = {
      organizationId: optionalText('organization_id', input.organizationId, LIMITS.id),
      name: requiredText('name', input.name, LIMITS.name),
      codecKind: codec.kind,
      codecSource: codec.source,
      samples: checkedSamples(input.samples),
      fields: checkedFields(input.fields),
    }
    await this.#assertWorks({ ...profile, codec }, { isNew: true, skipSamples: input.skipSamples }, options)
    return await this.repository.create({ profileId: this.newId(), ...profile }, options)
  }

  /** Lists a page of the organization's profiles and the shared ones. A page of large sources can have fewer items than requested. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<DeviceProfile>> {
    const id = optionalText('organization_id', organizationId, LIMITS.id)
    const fitting = limitPage(
      await this.repository.list(id, pageRequest(input), options),
      PAGE_SOURCE_BYTES,
      ({ codecSource, fields }) => Buffer.byteLength(codecSource) + Buffer.byteLength(JSON.stringify(fields)),
      ({ createdAt, profileId }) => ({ createdAt, id: profileId }),
    )
    return pageOutput(fitting)
  }

  /** Updates a profile. If its codec or its samples change, every sample must pass. `aborted` if other updates do not end. */
  async update(profileId: string, input: DeviceProfileChangeInput, options?: CallOptions): Promise<DeviceProfile> {
    return await this.existing(profileId, async (id) => {
      const { name, samples, fields, skipSamples } = input
      if (name !== undefined) requiredText('name', name, LIMITS.name)
      if (samples !== undefined) checkedSamples(samples)
      if (fields !== undefined) checkedFields(fields)
      const codec = input.codec === undefined ? undefined : this.#checked(input.codec)
      const change = { name, codecKind: codec?.kind, codecSource: codec?.source, samples, fields }
      if (codec === undefined && samples === undefined) return await this.repository.update(id, change, options)
      return await this.#updateTested(
        id,
        change,
        async ({ organizationId, ...stored }) => {
          const next = {
            organizationId,
            codec: codec ?? { kind: stored.codecKind, source: stored.codecSource },
            samples: samples ?? stored.samples,
          }
          await this.#assertWorks(next, { isNew: codec !== undefined, skipSamples }, options)
        },
        options,
      )
    })
  }

  /** Updates a profile after a test with its stored values, again for as long as these change meanwhile. */
  async #updateTested(
    id: string,
    change: DeviceProfileChange,
    test: (stored: DeviceProfile) => Promise<void>,
    options?: CallOptions,
  ): Promise<DeviceProfile | null> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const stored = await this.repository.get(id, options)
      if (stored === null) return null
      await test(stored)
      const updated = await this.repository.updateUnchanged(stored, change, options)
      if (updated !== null) return updated
    }
    throw new DomainError(
      'aborted',
      `Device profile ${id} changed ${MAX_ATTEMPTS} times while its samples ran; call UpdateDeviceProfile again`,
    )
  }

  /** Loads a new JavaScript codec, which executes its top level, and runs the samples. */
  async #assertWorks(
    sampled: SampledCodec,
    { isNew, skipSamples }: { readonly isNew: boolean; readonly skipSamples: boolean },
    options?: CallOptions,
  ): Promise<void> {
    const { organizationId, codec } = sampled
    if (isNew && codec.kind === 'javascript') {
      const answer = await this.#runner.check(organizationId, codec)
      if (!answer.ok) throw invalid(`codec.source, ${answer.reason}`)
    }
    if (!skipSamples) await assertSamplesPass(sampled, this.#runner, options)
  }

  #checked(codec: Codec | null): Codec {
    if (codec === null) throw invalid('codec.kind must be CEL, JAVASCRIPT or CAYENNE_LPP')
    const { kind, source } = codec
    optionalText('codec.source', source, Infinity)
    if (kind === 'cayenne_lpp') {
      if (source !== '') throw invalid('codec.source must be empty for CAYENNE_LPP, which is built in')
      return codec
    }
    if (source.trim() === '') throw invalid('codec.source is required and must not be blank')
    const tooLong = sourceSizeError(codec)
    if (tooLong !== undefined) throw invalid(`codec.source is too long: ${tooLong}`)
    const answer = kind === 'cel' ? this.#conversions.check(source) : { ok: true as const }
    if (answer.ok) return codec
    throw invalid(`codec.source, line ${answer.line}, column ${answer.column}: ${answer.message}`)
  }
}

function checkedSamples(samples: readonly ProfileSample[]): readonly ProfileSample[] {
  checkSize('samples', samples, LIMITS.samples, LIMITS.samplesBytes)
  for (const [index, { name, metadata, expected }] of samples.entries()) {
    const field = `samples[${index}]`
    optionalText(`${field}.name`, name, LIMITS.name)
    if (metadata !== undefined) assertStorable(`${field}.metadata`, metadata)
    if (expected === undefined) continue
    if ('error' in expected) optionalBytes(`${field}.error`, expected.error, LIMITS.samplesBytes)
    else if ('data' in expected) assertStorable(`${field}.data`, expected.data)
    else assertStorable(`${field}.readings`, expected.readings)
  }
  return samples
}

function checkedFields(fields: readonly ProfileField[]): readonly ProfileField[] {
  checkSize('fields', fields, LIMITS.profileFields, LIMITS.profileFieldsBytes)
  const paths = new Set<string>()
  for (const [index, { path, unit, name }] of fields.entries()) {
    requiredText(`fields[${index}].path`, path, LIMITS.name)
    optionalText(`fields[${index}].unit`, unit, LIMITS.name)
    optionalText(`fields[${index}].name`, name, LIMITS.name)
    if (path.split('.').includes(''))
      throw invalid(`fields[${index}].path "${path}" has an empty name between its dots`)
    if (paths.has(path)) throw invalid(`fields[${index}].path "${path}" is also that of another field`)
    paths.add(path)
  }
  return fields
}

function checkSize(field: string, items: readonly unknown[], maxItems: number, maxBytes: number): void {
  if (items.length > maxItems) throw invalid(`${field} has ${items.length} items, at most ${maxItems}`)
  const bytes = Buffer.byteLength(JSON.stringify(items))
  if (bytes > maxBytes) throw invalid(`${field} is too long: ${bytes} bytes of JSON, at most ${maxBytes}`)
}
