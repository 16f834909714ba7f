import { DomainError } from './errors.ts'
import { invalid, LIMITS, requiredText } from './fields.ts'
import type { IdGenerator } from './ids.ts'
import type { Organization, OrganizationStatus } from './entities.ts'
import { pageOutput, pageRequest, type PageInput, type PageOutput } from './paging.ts'
import type { CallOptions, OrganizationRepository } from './ports.ts'

/** What a caller gives; the service adds the id and the status. */
export interface CreateOrganizationInput {
  readonly name: string
}

/** The fields to change; an absent one stays. `status` null: the caller gave one that does not exist. */
export interface UpdateOrganizationInput {
  readonly name?: string | undefined
  readonly status?: OrganizationStatus | null | undefined
}

export interface OrganizationServiceParts {
  readonly organizations: OrganizationRepository
  readonly newId: IdGenerator
}

/** The rules for organizations. Throws DomainError; what the store throws passes through. */
export class OrganizationService {
  readonly #organizations: OrganizationRepository
  readonly #newId: IdGenerator

  constructor({ organizations, newId }: OrganizationServiceParts) {
    this.#organizations = organizations
    this.#newId = newId
  }

  async create(input: CreateOrganizationInput, options?: CallOptions): Promise<Organization> {
    const name = requiredText('name', input.name, LIMITS.name)
    return await this.#organizations.create({ id: this.#newId(), name, status: 'active' }, options)
  }

  async get(organizationId: string, options?: CallOptions): Promise<Organization> {
    const id = requiredText('organization_id', organizationId, LIMITS.id)
    return found(id, await this.#organizations.get(id, options))
  }

  async list(input: PageInput, options?: CallOptions): Promise<PageOutput<Organization>> {
    return pageOutput(await this.#organizations.list(pageRequest(input), options))
  }

  async update(organizationId: string, input: UpdateOrganizationInput, options?: CallOptions): Promise<Organization> {
    const id = requiredText('organization_id', organizationId, LIMITS.id)
    if (input.status === null) throw invalid('status must be PENDING, ACTIVE or INACTIVE')
    const change = {
      ...(input.name === undefined ? {} : { name: requiredText('name', input.name, LIMITS.name) }),
      ...(input.status === undefined ? {} : { status: input.status }),
    }
    return found(id, await this.#organizations.update(id, change, options))
  }

  /** Soft. `failed_precondition` while the organization still has gateways or end devices. */
  async delete(organizationId: string, options?: CallOptions): Promise<Organization> {
    const id = requiredText('organization_id', organizationId, LIMITS.id)
    return found(id, await this.#organizations.delete(id, options))
  }
}

function found(id: string, organization: Organization | null): Organization {
  if (organization === null) throw new DomainError('not_found', `Organization not found: ${id}`)
  return organization
}
