import type { EndDevice } from './entities.ts'
import { found, invalid, LIMITS, optionalBytes, requiredId, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { CallOptions, EndDeviceRepository, NewEndDevice, PayloadConversionChecker } from './ports.ts'

/** The fields to change; absent fields keep their value. An empty `payloadConversion` removes the expression. */
export interface UpdateEndDeviceInput {
  readonly name?: string | undefined
  readonly payloadConversion?: string | undefined
}

export interface EndDeviceServiceParts {
  readonly endDevices: EndDeviceRepository
  readonly newId: IdGenerator
  readonly payloadConversions: PayloadConversionChecker
}

/** Validates calls for end devices. Throws DomainError; errors of the repository pass through. */
export class EndDeviceService {
  readonly #parts: EndDeviceServiceParts

  constructor(parts: EndDeviceServiceParts) {
    this.#parts = parts
  }

  /** An empty `payloadConversion` means no expression. */
  async create(input: Omit<NewEndDevice, 'deviceId'>, options?: CallOptions): Promise<EndDevice> {
    const device = {
      organizationId: requiredId('organization_id', input.organizationId),
      name: requiredText('name', input.name, LIMITS.name),
      payloadConversion: this.#checked(input.payloadConversion),
    }
    return await this.#parts.endDevices.create({ deviceId: this.#parts.newId(), ...device }, options)
  }

  async get(deviceId: string, options?: CallOptions): Promise<EndDevice> {
    const id = requiredId('device_id', deviceId)
    return found('End device', id, await this.#parts.endDevices.get(id, options))
  }

  /** Empty for an unknown organization. */
  async list(organizationId: string, input: PageInput, options?: CallOptions): Promise<PageOutput<EndDevice>> {
    const id = requiredId('organization_id', organizationId)
    return pageOutput(await this.#parts.endDevices.list(id, pageRequest(input), options))
  }

  async update(deviceId: string, input: UpdateEndDeviceInput, options?: CallOptions): Promise<EndDevice> {
    const id = requiredId('device_id', deviceId)
    const change = {
      ...(input.name === undefined ? {} : { name: requiredText('name', input.name, LIMITS.name) }),
      ...(input.payloadConversion === undefined ? {} : { payloadConversion: this.#checked(input.payloadConversion) }),
    }
    return found('End device', id, await this.#parts.endDevices.update(id, change, options))
  }

  async delete(deviceId: string, options?: CallOptions): Promise<EndDevice> {
    const id = requiredId('device_id', deviceId)
    return found('End device', id, await this.#parts.endDevices.delete(id, options))
  }

  #checked(source: string): string {
    optionalBytes('payload_conversion', source, LIMITS.payloadConversionBytes)
    if (source === '') return source
    const answer = this.#parts.payloadConversions.check(source)
    if (answer.ok) return source
    throw invalid(`payload_conversion, line ${answer.line}, column ${answer.column}: ${answer.message}`)
  }
}
