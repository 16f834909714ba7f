import type { Gateway, GatewayStatus } from './entities.ts'
import { found, invalid, jsonObject, LIMITS, optionalText, requiredId, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { limitPage, pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { CallOptions, GatewayRepository } from './ports.ts'

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

export interface GatewayServiceParts {
  readonly gateways: GatewayRepository
  readonly newId: IdGenerator
}

/** Validates calls for gateways. Throws DomainError; errors of the repository pass through. */
export class GatewayService {
  readonly #parts: GatewayServiceParts

  constructor(parts: GatewayServiceParts) {
    this.#parts = parts
  }

  async create(input: CreateGatewayInput, options?: CallOptions): Promise<Gateway> {
    const gateway = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: optionalText('name', input.name, LIMITS.name),
      gatewayType: gatewayType(input.gatewayType),
      gatewayConfig: gatewayConfig(input.gatewayConfig),
      status: 'active',
    } as const
    return await this.#parts.gateways.create({ gatewayId: this.#parts.newId(), ...gateway }, options)
  }

  async get(gatewayId: string, options?: CallOptions): Promise<Gateway> {
    const id = requiredId('gateway_id', gatewayId)
    return found('Gateway', id, await this.#parts.gateways.get(id, options))
  }

  /** Empty for an unknown organization. A page of large configs may have fewer items than requested. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<Gateway>> {
    const id = requiredId('organization_id', organizationId)
    const page = await this.#parts.gateways.list(id, pageRequest(input), options)
    const fitting = limitPage(
      page,
      PAGE_CONFIG_BYTES,
      (gateway) => Buffer.byteLength(JSON.stringify(gateway.gatewayConfig)),
      (gateway) => ({ createdAt: gateway.createdAt, id: gateway.gatewayId }),
    )
    return pageOutput(fitting)
  }

  async update(gatewayId: string, input: UpdateGatewayInput, options?: CallOptions): Promise<Gateway> {
    const id = requiredId('gateway_id', gatewayId)
    if (input.status === null) throw invalid('status must be ACTIVE, ERROR or PENDING')
    const change = {
      ...(input.name === undefined ? {} : { name: optionalText('name', input.name, LIMITS.name) }),
      ...(input.gatewayType === undefined ? {} : { gatewayType: gatewayType(input.gatewayType) }),
      ...(input.gatewayConfig === undefined ? {} : { gatewayConfig: gatewayConfig(input.gatewayConfig) }),
      ...(input.status === undefined ? {} : { status: input.status }),
    }
    return found('Gateway', id, await this.#parts.gateways.update(id, change, options))
  }

  /** Soft delete. */
  async delete(gatewayId: string, options?: CallOptions): Promise<Gateway> {
    const id = requiredId('gateway_id', gatewayId)
    return found('Gateway', id, await this.#parts.gateways.delete(id, options))
  }
}

function gatewayType(value: string): string {
  return requiredText('gateway_type', value, LIMITS.gatewayType)
}

function gatewayConfig(text: string): Gateway['gatewayConfig'] {
  return jsonObject('gateway_config', text, LIMITS.gatewayConfigBytes)
}
