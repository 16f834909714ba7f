import type { EndDevice, Gateway, GatewayStatus, Organization, OrganizationStatus } from './entities.ts'
import { found, invalid, jsonObject, LIMITS, optionalBytes, optionalText, requiredId, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { limitPage, pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type {
  CallOptions,
  EndDeviceRepository,
  GatewayRepository,
  NewEndDevice,
  OrganizationRepository,
  PayloadConversionChecker,
} from './ports.ts'

type Stored<T> = (id: string, options?: CallOptions) => Promise<T | null>

/** Validates calls for one kind of entity. Throws DomainError; errors of the repository pass through. */
abstract class EntityService<T, Repository extends { readonly get: Stored<T>; readonly delete: Stored<T> }> {
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

  /** Gateways and organizations are only marked as deleted. `failed_precondition` while an organization owns other entities. */
  async delete(id: string, options?: CallOptions): Promise<T> {
    return await this.existing(id, (valid) => this.repository.delete(valid, options))
  }

  /** Calls with the valid id; throws `not_found` for a result of null. */
  protected async existing(id: string, call: (valid: string) => Promise<T | null>): Promise<T> {
    const valid = requiredId(this.#idField, id)
    return found(this.#kind, valid, await call(valid))
  }
}

/** The fields to change; absent fields keep their value. `status` is null if the caller sent an unknown one. */
export interface UpdateOrganizationInput {
  readonly name?: string | undefined
  readonly status?: OrganizationStatus | null | undefined
}

export class OrganizationService extends EntityService<Organization, OrganizationRepository> {
  constructor(organizations: OrganizationRepository, newId: IdGenerator) {
    super(organizations, newId, 'Organization', 'organization_id')
  }

  async create(input: { readonly name: string }, options?: CallOptions): Promise<Organization> {
    const name = requiredText('name', input.name, LIMITS.name)
    return await this.repository.create({ id: this.newId(), name, status: 'active' }, options)
  }

  async list(input: PageInput, options?: CallOptions): Promise<PageOutput<Organization>> {
    return pageOutput(await this.repository.list(pageRequest(input), options))
  }

  async update(organizationId: string, input: UpdateOrganizationInput, options?: CallOptions): Promise<Organization> {
    return await this.existing(organizationId, (id) => {
      if (input.status === null) throw invalid('status must be PENDING, ACTIVE or INACTIVE')
      const change = {
        ...(input.name === undefined ? {} : { name: requiredText('name', input.name, LIMITS.name) }),
        ...(input.status === undefined ? {} : { status: input.status }),
      }
      return this.repository.update(id, change, options)
    })
  }
}

/** The fields to change; absent fields keep their value. An empty `payloadConversion` removes the expression. */
export interface UpdateEndDeviceInput {
  readonly name?: string | undefined
  readonly payloadConversion?: string | undefined
}

export class EndDeviceService extends EntityService<EndDevice, EndDeviceRepository> {
  readonly #conversions: PayloadConversionChecker

  constructor(endDevices: EndDeviceRepository, newId: IdGenerator, conversions: PayloadConversionChecker) {
    super(endDevices, newId, 'End device', 'device_id')
    this.#conversions = conversions
  }

  /** An empty `payloadConversion` means no expression. */
  async create(input: Omit<NewEndDevice, 'deviceId'>, options?: CallOptions): Promise<EndDevice> {
    const device = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: requiredText('name', input.name, LIMITS.name),
      payloadConversion: this.#checked(input.payloadConversion),
    }
    return await this.repository.create({ deviceId: this.newId(), ...device }, options)
  }

  /** Empty for an unknown organization. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<EndDevice>> {
    const id = requiredId('organization_id', organizationId)
    return pageOutput(await this.repository.list(id, pageRequest(input), options))
  }

  async update(deviceId: string, input: UpdateEndDeviceInput, options?: CallOptions): Promise<EndDevice> {
    return await this.existing(deviceId, (id) => {
      const { name, payloadConversion } = input
      const change = {
        ...(name === undefined ? {} : { name: requiredText('name', name, LIMITS.name) }),
        ...(payloadConversion === undefined ? {} : { payloadConversion: this.#checked(payloadConversion) }),
      }
      return this.repository.update(id, change, options)
    })
  }

  #checked(source: string): string {
    optionalBytes('payload_conversion', source, LIMITS.payloadConversionBytes)
    if (source === '') return source
    const answer = this.#conversions.check(source)
    if (answer.ok) return source
    throw invalid(`payload_conversion, line ${answer.line}, column ${answer.column}: ${answer.message}`)
  }
}

/** gRPC clients accept responses of 4 MiB; the rest is reserved for the other fields. */
const PAGE_CONFIG_BYTES = 3 * 1024 * 1024

/** The name may be empty. The config is a JSON object as text; empty means `{}`. */
export type CreateGatewayInput = Pick<Gateway, 'organizationId' | 'name' | 'gatewayType'> & {
  readonly gatewayConfig: string
}

/** The fields to change; absent fields keep their value. `status` is null if the caller sent an unknown one. */
export interface UpdateGatewayInput {
  readonly name?: string | undefined
  readonly gatewayType?: string | undefined
  readonly gatewayConfig?: string | undefined
  readonly status?: GatewayStatus | null | undefined
}

export class GatewayService extends EntityService<Gateway, GatewayRepository> {
  constructor(gateways: GatewayRepository, newId: IdGenerator) {
    super(gateways, newId, 'Gateway', 'gateway_id')
  }

  async create(input: CreateGatewayInput, options?: CallOptions): Promise<Gateway> {
    const gateway = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: optionalText('name', input.name, LIMITS.name),
      gatewayType: gatewayType(input.gatewayType),
      gatewayConfig: gatewayConfig(input.gatewayConfig),
      status: 'active',
    } as const
    return await this.repository.create({ gatewayId: this.newId(), ...gateway }, options)
  }

  /** Empty for an unknown organization. A page of large configs may have fewer items than requested. */
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

  async update(gatewayId: string, input: UpdateGatewayInput, options?: CallOptions): Promise<Gateway> {
    return await this.existing(gatewayId, (id) => {
      if (input.status === null) throw invalid('status must be ACTIVE, ERROR or PENDING')
      const change = {
        ...(input.name === undefined ? {} : { name: optionalText('name', input.name, LIMITS.name) }),
        ...(input.gatewayType === undefined ? {} : { gatewayType: gatewayType(input.gatewayType) }),
        ...(input.gatewayConfig === undefined ? {} : { gatewayConfig: gatewayConfig(input.gatewayConfig) }),
        ...(input.status === undefined ? {} : { status: input.status }),
      }
      return this.repository.update(id, change, options)
    })
  }
}

function gatewayType(value: string): string {
  return requiredText('gateway_type', value, LIMITS.gatewayType)
}

function gatewayConfig(text: string): Gateway['gatewayConfig'] {
  return jsonObject('gateway_config', text, LIMITS.gatewayConfigBytes)
}
