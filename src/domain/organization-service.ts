import type { Organization, OrganizationStatus } from './entities.ts'
import { found, invalid, LIMITS, requiredId, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import { pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { CallOptions, OrganizationRepository } from './ports.ts'

/** The fields to change; absent fields keep their value. `status` is null if the caller sent an unknown one. */
export interface UpdateOrganizationInput {
  readonly name?: string | undefined
  readonly status?: OrganizationStatus | null | undefined
}

export interface OrganizationServiceParts {
  readonly organizations: OrganizationRepository
  readonly newId: IdGenerator
}

/** Validates calls for organizations. Throws DomainError; errors of the repository pass through. */
export class OrganizationService {
  readonly #parts: OrganizationServiceParts

  constructor(parts: OrganizationServiceParts) {
    this.#parts = parts
  }

  async create(input: { readonly name: string }, options?: CallOptions): Promise<Organization> {
    const { organizations, newId } = this.#parts
    const name = requiredText('name', input.name, LIMITS.name)
    return await organizations.create({ id: newId(), name, status: 'active' }, options)
  }

  async get(organizationId: string, options?: CallOptions): Promise<Organization> {
    const id = requiredId('organization_id', organizationId)
    return found('Organization', id, await this.#parts.organizations.get(id, options))
  }

  async list(input: PageInput, options?: CallOptions): Promise<PageOutput<Organization>> {
    return pageOutput(await this.#parts.organizations.list(pageRequest(input), options))
  }

  async update(organizationId: string, input: UpdateOrganizationInput, options?: CallOptions): Promise<Organization> {
    const id = requiredId('organization_id', organizationId)
    if (input.status === null) throw invalid('status must be PENDING, ACTIVE or INACTIVE')
    const change = {
      ...(input.name === undefined ? {} : { name: requiredText('name', input.name, LIMITS.name) }),
      ...(input.status === undefined ? {} : { status: input.status }),
    }
    return found('Organization', id, await this.#parts.organizations.update(id, change, options))
  }

  /** Soft delete. `failed_precondition` while the organization owns gateways or end devices. */
  async delete(organizationId: string, options?: CallOptions): Promise<Organization> {
    const id = requiredId('organization_id', organizationId)
    return found('Organization', id, await this.#parts.organizations.delete(id, options))
  }
}
