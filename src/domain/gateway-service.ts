import { DomainError } from './errors.ts'
import { invalid, jsonObject, LIMITS, optionalText, requiredText } from './fields.ts'
import type { Gateway, GatewayStatus } from './entities.ts'
import type { IdGenerator } from './ids.ts'
import { limitPage, pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { CallOptions, GatewayRepository } from './ports.ts'

/** gRPC clients accept answers of 4 MiB; the rest is for the other fields. */
const PAGE_CONFIG_BYTES = 3 * 1024 * 1024

/** What a caller gives; the service adds the id and the status. */
export interface CreateGatewayInput {
  readonly organizationId: string
  /** May be empty. */
  readonly name: string
  readonly gatewayType: string
  /** A JSON object as text; empty means `{}`. */
  readonly gatewayConfig: string
}

/** The fields to change; an absent one stays. `status` null: the caller gave one that does not exist. */
export interface UpdateGatewayInput {
  readonly name?: string | undefined
  readonly gatewayType?: string | undefined
  readonly gatewayConfig?: string | undefined
  readonly status?: GatewayStatus | null | undefined
}

export interface GatewayServiceParts {
  readonly gateways: GatewayRepository
  readonly newId: IdGenerator
}

/** The rules for gateways. Throws DomainError; what the store throws passes through. */
export class GatewayService {
  readonly #gateways: GatewayRepository
  readonly #newId: IdGenerator

  constructor({ gateways, newId }: GatewayServiceParts) {
    this.#gateways = gateways
    this.#newId = newId
  }

  async create(input: CreateGatewayInput, options?: CallOptions): Promise<Gateway> {
    const gateway = {
      organizationId: requiredText('organization_id', input.organizationId, LIMITS.id),
      name: optionalText('name', input.name, LIMITS.name),
      gatewayType: gatewayType(input.gatewayType),
      gatewayConfig: gatewayConfig(input.gatewayConfig),
      status: 'active',
    } as const
    return await this.#gateways.create({ gatewayId: this.#newId(), ...gateway }, options)
  }

  async get(gatewayId: string, options?: CallOptions): Promise<Gateway> {
    const id = requiredText('gateway_id', gatewayId, LIMITS.id)
    return found(id, await this.#gateways.get(id, options))
  }

  /** The list of an unknown organization is empty. A page of large configs may hold fewer than asked for. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<Gateway>> {
    const id = requiredText('organization_id', organizationId, LIMITS.id)
    const page = await this.#gateways.list(id, pageRequest(input), options)
    const fitting = limitPage(
      page,
      PAGE_CONFIG_BYTES,
      (gateway) => Buffer.byteLength(JSON.stringify(gateway.gatewayConfig)),
      (gateway) => ({ createdAt: gateway.createdAt, id: gateway.gatewayId }),
    )
    return pageOutput(fitting)
  }

  async update(gatewayId: string, input: UpdateGatewayInput, options?: CallOptions): Promise<Gateway> {
    const id = requiredText('gateway_id', gatewayId, LIMITS.id)
    if (input.status === null) throw invalid('status must be ACTIVE, ERROR or PENDING')
    const change = {
      ...(input.name === undefined ? {} : { name: optionalText('name', input.name, LIMITS.name) }),
      ...(input.gatewayType === undefined ? {} : { gatewayType: gatewayType(input.gatewayType) }),
      ...(input.gatewayConfig === undefined ? {} : { gatewayConfig: gatewayConfig(input.gatewayConfig) }),
      ...(input.status === undefined ? {} : { status: input.status }),
    }
    return found(id, await this.#gateways.update(id, change, options))
  }

  /** Soft. */
  async delete(gatewayId: string, options?: CallOptions): Promise<Gateway> {
    const id = requiredText('gateway_id', gatewayId, LIMITS.id)
    return found(id, await this.#gateways.delete(id, options))
  }
}

function gatewayType(value: string): string {
  return requiredText('gateway_type', value, LIMITS.gatewayType)
}

function gatewayConfig(text: string): Gateway['gatewayConfig'] {
  return jsonObject('gateway_config', text, LIMITS.gatewayConfigBytes)
}

function found(id: string, gateway: Gateway | null): Gateway {
  if (gateway === null) throw new DomainError('not_found', `Gateway not found: ${id}`)
  return gateway
}
