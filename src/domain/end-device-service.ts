import type { EndDevice } from './entities.ts'
import { DomainError } from './errors.ts'
import { invalid, LIMITS, optionalBytes, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { PayloadConversionChecker, CallOptions, EndDeviceRepository } from './ports.ts'

/** What a caller gives; the service adds the id. */
export interface CreateEndDeviceInput {
  readonly organizationId: string
  readonly name: string
  /** CEL; empty for none. */
  readonly payloadConversion: string
}

/** The fields to change; an absent one stays. An empty `payloadConversion` takes the expression away. */
export interface UpdateEndDeviceInput {
  readonly name?: string | undefined
  readonly payloadConversion?: string | undefined
}

export interface EndDeviceServiceParts {
  readonly endDevices: EndDeviceRepository
  readonly newId: IdGenerator
  readonly payloadConversions: PayloadConversionChecker
}

/** The rules for end devices. Throws DomainError; what the store throws passes through. */
export class EndDeviceService {
  readonly #endDevices: EndDeviceRepository
  readonly #newId: IdGenerator
  readonly #payloadConversions: PayloadConversionChecker

  constructor({ endDevices, newId, payloadConversions }: EndDeviceServiceParts) {
    this.#endDevices = endDevices
    this.#newId = newId
    this.#payloadConversions = payloadConversions
  }

  async create(input: CreateEndDeviceInput, options?: CallOptions): Promise<EndDevice> {
    const device = {
      organizationId: requiredText('organization_id', input.organizationId, LIMITS.id),
      name: requiredText('name', input.name, LIMITS.name),
      payloadConversion: this.#checked(input.payloadConversion),
    }
    return await this.#endDevices.create({ deviceId: this.#newId(), ...device }, options)
  }

  async get(deviceId: string, options?: CallOptions): Promise<EndDevice> {
    const id = requiredText('device_id', deviceId, LIMITS.id)
    return found(id, await this.#endDevices.get(id, options))
  }

  /** The list of an unknown organization is empty. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<EndDevice>> {
    const id = requiredText('organization_id', organizationId, LIMITS.id)
    return pageOutput(await this.#endDevices.list(id, pageRequest(input), options))
  }

  async update(deviceId: string, input: UpdateEndDeviceInput, options?: CallOptions): Promise<EndDevice> {
    const id = requiredText('device_id', deviceId, LIMITS.id)
    const change = {
      ...(input.name === undefined ? {} : { name: requiredText('name', input.name, LIMITS.name) }),
      ...(input.payloadConversion === undefined ? {} : { payloadConversion: this.#checked(input.payloadConversion) }),
    }
    return found(id, await this.#endDevices.update(id, change, options))
  }

  async delete(deviceId: string, options?: CallOptions): Promise<EndDevice> {
    const id = requiredText('device_id', deviceId, LIMITS.id)
    return found(id, await this.#endDevices.delete(id, options))
  }

  #checked(source: string): string {
    optionalBytes('payload_conversion', source, LIMITS.payloadConversionBytes)
    if (source === '') return source
    const answer = this.#payloadConversions.check(source)
    if (answer.ok) return source
    throw invalid(`payload_conversion, line ${answer.line}, column ${answer.column}: ${answer.message}`)
  }
}

function found(id: string, device: EndDevice | null): EndDevice {
  if (device === null) throw new DomainError('not_found', `End device not found: ${id}`)
  return device
}
