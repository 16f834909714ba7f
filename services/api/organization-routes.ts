import type { OrganizationService } from '../../src/domain/organization-service.ts'
import { OrganizationService as Service } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { organizationStatusFromProto, organizationToProto } from '../../src/proto/entities.ts'
import { unary, type Route } from './unary.ts'

/** ponix.organization.v1.OrganizationService. */
export function organizationRoutes(organizations: OrganizationService): readonly Route[] {
  const { method } = Service
  return [
    unary(method.createOrganization, async ({ name }, call) => {
      const organization = await organizations.create({ name }, call)
      call.organizationId = organization.id
      return { organization: organizationToProto(organization) }
    }),
    unary(method.getOrganization, async ({ organizationId }, call) => {
      call.organizationId = organizationId
      return { organization: organizationToProto(await organizations.get(organizationId, call)) }
    }),
    unary(method.listOrganizations, async ({ pageSize, pageToken }, call) => {
      const { items, nextPageToken } = await organizations.list({ pageSize, pageToken }, call)
      return { organizations: items.map(organizationToProto), nextPageToken }
    }),
    unary(method.updateOrganization, async ({ organizationId, name, status }, call) => {
      call.organizationId = organizationId
      const change = { name, status: status === undefined ? undefined : organizationStatusFromProto(status) }
      return { organization: organizationToProto(await organizations.update(organizationId, change, call)) }
    }),
    unary(method.deleteOrganization, async ({ organizationId }, call) => {
      call.organizationId = organizationId
      return { organization: organizationToProto(await organizations.delete(organizationId, call)) }
    }),
  ]
}
