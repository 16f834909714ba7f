import type { EndDevice, Gateway, Organization, OrganizationStatus } from './entities.ts'
import { checkGatewayConfig } from './gateway-config.ts'
import { checkOverlaps } from './gateway-topics/overlap-check.ts'
import { normalExternalId } from './external-id.ts'
import {
  found,
  invalid,
  jsonObject,
  LIMITS,
  optionalBytes,
  optionalText,
  requiredId,
  requiredText,
  wholeNumber,
} from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { limitPage, pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type {
  CallOptions,
  EndDeviceChange,
  DeviceProfileRepository,
  EndDeviceRepository,
  GatewayChange,
  GatewayRepository,
  NewEndDevice,
  OrganizationChange,
  OrganizationRepository,
  PayloadConversionChecker,
} from './ports.ts'

type Stored<T> = (id: string, options?: CallOptions) => Promise<T | null>

/** Validates calls for one kind of entity. Throws DomainError; errors of the repository pass through. */
export abstract class EntityService<T, Repository extends { readonly get: Stored<T>; readonly delete: Stored<T> }> {
  protected readonly repository: Repository
  protected readonly newId: IdGenerator
  readonly #kind: string
  readonly #idField: string

  constructor(repository: Repository, newId: IdGenerator, kind: string, idField: string) {
    this.repository = repository
    this.newId = newId
    this.#kind = kind
    this.#idField = idField
  }

  async get(id: string, options?: CallOptions): Promise<T> {
    return await this.existing(id, (valid) => this.repository.get(valid, options))
  }

  /** Deletes an entity (gateways and organizations: marks as deleted). `failed_precondition` while an organization owns entities. */
  async delete(id: string, options?: CallOptions): Promise<T> {
    return await this.existing(id, (valid) => this.repository.delete(valid, options))
  }

  /** Calls with the validated id; throws `not_found` for a result of null. */
  protected async existing(id: string, call: (valid: string) => Promise<T | null>): Promise<T> {
    const valid = requiredId(this.#idField, id)
    return found(this.#kind, valid, await call(valid))
  }
}

/** `status` is null if the caller sent an unknown status. */
export type UpdateOrganizationInput = Pick<OrganizationChange, 'name' | 'retentionDays'> & {
  readonly status?: OrganizationStatus | null | undefined
}

export class OrganizationService extends EntityService<Organization, OrganizationRepository> {
  constructor(organizations: OrganizationRepository, newId: IdGenerator) {
    super(organizations, newId, 'Organization', 'organization_id')
  }

  /** Creates an active organization; without `retentionDays`, its rows are kept. */
  async create(
    input: { readonly name: string; readonly retentionDays?: number },
    options?: CallOptions,
  ): Promise<Organization> {
    const name = requiredText('name', input.name, LIMITS.name)
    const retentionDays = wholeNumber('retention_days', input.retentionDays ?? 0, LIMITS.retentionDays)
    return await this.repository.create({ id: this.newId(), name, status: 'active', retentionDays }, options)
  }

  async list(input: PageInput, options?: CallOptions): Promise<PageOutput<Organization>> {
    return pageOutput(await this.repository.list(pageRequest(input), options))
  }

  async update(organizationId: string, input: UpdateOrganizationInput, options?: CallOptions): Promise<Organization> {
    return await this.existing(organizationId, (id) => {
      const { name, status, retentionDays } = input
      if (status === null) throw invalid('status must be PENDING, ACTIVE or INACTIVE')
      if (name !== undefined) requiredText('name', name, LIMITS.name)
      if (retentionDays !== undefined) wholeNumber('retention_days', retentionDays, LIMITS.retentionDays)
      return this.repository.update(id, { name, status, retentionDays }, options)
    })
  }
}

export class EndDeviceService extends EntityService<EndDevice, EndDeviceRepository> {
  readonly #conversions: PayloadConversionChecker
  readonly #profiles: Pick<DeviceProfileRepository, 'get'>

  constructor(
    endDevices: EndDeviceRepository,
    newId: IdGenerator,
    conversions: PayloadConversionChecker,
    profiles: Pick<DeviceProfileRepository, 'get'>,
  ) {
    super(endDevices, newId, 'End device', 'device_id')
    this.#conversions = conversions
    this.#profiles = profiles
  }

  /** Creates an end device. An empty `payloadConversion` means no expression. */
  async create(input: Omit<NewEndDevice, 'deviceId'>, options?: CallOptions): Promise<EndDevice> {
    const device = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: requiredText('name', input.name, LIMITS.name),
      payloadConversion: this.#checked(input.payloadConversion),
      externalId: normalExternalId('external_id', input.externalId),
      profileId: optionalText('profile_id', input.profileId, LIMITS.id),
    }
    await this.#assertUsable(device.profileId, device.organizationId, options)
    return await this.repository.create({ deviceId: this.newId(), ...device }, options)
  }

  /** Lists a page; empty for an unknown organization. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<EndDevice>> {
    const id = requiredId('organization_id', organizationId)
    return pageOutput(await this.repository.list(id, pageRequest(input), options))
  }

  /** Updates an end device. An empty `payloadConversion`, `externalId` or `profileId` removes it. */
  async update(deviceId: string, input: EndDeviceChange, options?: CallOptions): Promise<EndDevice> {
    return await this.existing(deviceId, async (id) => {
      const { name, payloadConversion, externalId: text, profileId } = input
      if (name !== undefined) requiredText('name', name, LIMITS.name)
      if (payloadConversion !== undefined) this.#checked(payloadConversion)
      const externalId = text === undefined ? undefined : normalExternalId('external_id', text)
      if (profileId !== undefined && optionalText('profile_id', profileId, LIMITS.id) !== '') {
        const stored = await this.repository.get(id, options)
        if (stored === null) return null
        await this.#assertUsable(profileId, stored.organizationId, options)
      }
      return await this.repository.update(id, { name, payloadConversion, externalId, profileId }, options)
    })
  }

  /** A profile of another organization is reported as not found. A profile never changes its organization. */
  async #assertUsable(profileId: string, organizationId: string, options?: CallOptions): Promise<void> {
    if (profileId === '') return
    const profile = await this.#profiles.get(profileId, options)
    const isUsable = profile?.organizationId === organizationId || profile?.organizationId === ''
    found('Device profile', profileId, isUsable ? profile : null)
  }

  #checked(source: string): string {
    optionalBytes('payload_conversion', source, LIMITS.payloadConversionBytes)
    if (source === '') return source
    const answer = this.#conversions.check(source)
    if (answer.ok) return source
    throw invalid(`payload_conversion, line ${answer.line}, column ${answer.column}: ${answer.message}`)
  }
}

/** The limit of configs in a page: gRPC clients accept responses of 4 MiB, and the rest is reserved for the other fields. */
const PAGE_CONFIG_BYTES = 3 * 1024 * 1024

/** The values of a new gateway. The name can be empty. The config is a JSON object as text; empty means `{}`. */
export type CreateGatewayInput = Pick<Gateway, 'organizationId' | 'name' | 'gatewayType'> & {
  readonly gatewayConfig: string
}

export type UpdateGatewayInput = Pick<GatewayChange, 'name' | 'gatewayType'> & {
  readonly gatewayConfig?: string | undefined
}

/** A gateway that was created or changed. */
export interface WrittenGateway {
  readonly gateway: Gateway
  /** What is not refused and may be a mistake; few texts for people. */
  readonly warnings: readonly string[]
}

export class GatewayService extends EntityService<Gateway, GatewayRepository> {
  constructor(gateways: GatewayRepository, newId: IdGenerator) {
    super(gateways, newId, 'Gateway', 'gateway_id')
  }

  async create(input: CreateGatewayInput, options?: CallOptions): Promise<WrittenGateway> {
    const gateway = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: optionalText('name', input.name, LIMITS.name),
      gatewayType: requiredText('gateway_type', input.gatewayType, LIMITS.gatewayType),
      gatewayConfig: configOf(input.gatewayConfig),
    }
    checkGatewayConfig(gateway)
    const created = { gatewayId: this.newId(), ...gateway }
    let warnings: readonly string[] = []
    const row = await this.repository.create(created, options, async (candidates) => {
      warnings = await checkOverlaps(created, null, candidates)
    })
    return { gateway: row, warnings }
  }

  /** Lists a page; empty for an unknown organization. A page of large configs can have fewer items than requested. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<Gateway>> {
    const id = requiredId('organization_id', organizationId)
    const page = await this.repository.list(id, pageRequest(input), options)
    const fitting = limitPage(
      page,
      PAGE_CONFIG_BYTES,
      (gateway) => Buffer.byteLength(JSON.stringify(gateway.gatewayConfig)),
      (gateway) => ({ createdAt: gateway.createdAt, id: gateway.gatewayId }),
    )
    return pageOutput(fitting)
  }

  async update(gatewayId: string, input: UpdateGatewayInput, options?: CallOptions): Promise<WrittenGateway> {
    let warnings: readonly string[] = []
    const gateway = await this.existing(gatewayId, async (id) => {
      const { name, gatewayType, gatewayConfig: text } = input
      if (name !== undefined) optionalText('name', name, LIMITS.name)
      if (gatewayType !== undefined) requiredText('gateway_type', gatewayType, LIMITS.gatewayType)
      const gatewayConfig = text === undefined ? undefined : configOf(text)
      const change = { name, gatewayType, gatewayConfig }
      if (gatewayType === undefined && gatewayConfig === undefined) return this.repository.update(id, change, options)
      return await this.repository.update(id, change, options, async (stored, candidates) => {
        const { gatewayType: storedType, gatewayConfig: storedConfig } = stored
        const next = { ...stored, gatewayType: gatewayType ?? storedType, gatewayConfig: gatewayConfig ?? storedConfig }
        checkGatewayConfig(next)
        warnings = await checkOverlaps(next, stored, candidates)
      })
    })
    return { gateway, warnings }
  }
}

function configOf(text: string): Gateway['gatewayConfig'] {
  return jsonObject('gateway_config', text, LIMITS.gatewayConfigBytes)
}
