import type { EndDevice, Gateway, Organization } from './entities.ts'
import type { StoredEnvelope, TelemetryQuery, TelemetryRange } from './telemetry.ts'

/** A page of a list, newest first. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next page starts; null on the last page. */
  readonly next: PageCursor | null
}

/** The last item of the page before: lists are ordered by (createdAt, id), both descending. */
export interface PageCursor {
  readonly createdAt: bigint
  readonly id: string
}

export interface PageRequest {
  readonly size: number
  readonly after: PageCursor | null
}

/** Calls that reach a store take this; an aborted signal cancels the statement. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** The values of a new entity; timestamps come from the store. */
export type NewOrganization = Pick<Organization, 'id' | 'name' | 'status'>
export type NewEndDevice = Pick<EndDevice, 'deviceId' | 'organizationId' | 'name' | 'payloadConversion'>
export type NewGateway = Pick<
  Gateway,
  'gatewayId' | 'organizationId' | 'name' | 'gatewayType' | 'gatewayConfig' | 'status'
>

/** The fields to change; an absent one stays. `updatedAt` always moves. */
export type OrganizationChange = Partial<Pick<Organization, 'name' | 'status'>>
export type EndDeviceChange = Partial<Pick<EndDevice, 'name' | 'payloadConversion'>>
export type GatewayChange = Partial<Pick<Gateway, 'name' | 'gatewayType' | 'gatewayConfig' | 'status'>>

/**
 * Stores of entities. They throw DomainError: `unavailable` when the store does not answer, `already_exists` for a
 * duplicate id, `not_found` ("Organization not found: {id}") when the organization of a new entity is missing or deleted,
 * `failed_precondition` when an organization that is to be deleted still owns something. `get`, `update` and `delete`
 * return null for what is missing or deleted.
 */
export interface OrganizationRepository {
  create(organization: NewOrganization, options?: CallOptions): Promise<Organization>
  get(id: string, options?: CallOptions): Promise<Organization | null>
  list(page: PageRequest, options?: CallOptions): Promise<Page<Organization>>
  update(id: string, change: OrganizationChange, options?: CallOptions): Promise<Organization | null>
  delete(id: string, options?: CallOptions): Promise<Organization | null>
}

export interface EndDeviceRepository {
  create(device: NewEndDevice, options?: CallOptions): Promise<EndDevice>
  get(deviceId: string, options?: CallOptions): Promise<EndDevice | null>
  list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<EndDevice>>
  update(deviceId: string, change: EndDeviceChange, options?: CallOptions): Promise<EndDevice | null>
  delete(deviceId: string, options?: CallOptions): Promise<EndDevice | null>
}

export interface GatewayRepository {
  create(gateway: NewGateway, options?: CallOptions): Promise<Gateway>
  get(gatewayId: string, options?: CallOptions): Promise<Gateway | null>
  list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>>
  update(gatewayId: string, change: GatewayChange, options?: CallOptions): Promise<Gateway | null>
  delete(gatewayId: string, options?: CallOptions): Promise<Gateway | null>
  /** Every gateway that is not deleted, over all organizations that are not deleted. */
  listAll(options?: CallOptions): AsyncIterable<Gateway>
}

/** Reads what the devices have said. Throws DomainError `unavailable` when the store does not answer, or not in time. */
export interface TelemetryReader {
  /**
   * Each envelope once, newest first, in batches as they come; never one of another organization. Whoever stops reading, or
   * aborts, ends the query in the store. Envelopes that are stored meanwhile do not move those that were there.
   */
  read(query: TelemetryQuery, range: TelemetryRange, options?: CallOptions): AsyncIterable<readonly StoredEnvelope[]>
}

/** What is wrong with a CEL expression, and where: line and column count from 1. */
export interface PayloadConversionFault {
  readonly ok: false
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Compiles an end device's CEL expression without running it. Never throws: what is wrong is the answer. */
export interface PayloadConversionChecker {
  check(source: string): { readonly ok: true } | PayloadConversionFault
}

/** A migration that a database has. */
export interface AppliedMigration {
  readonly name: string
  readonly checksum: string
  readonly appliedAt: Date
}

/** A migration that is applied, or reverted: then its checksum is null. */
export interface MigrationChange {
  readonly name: string
  readonly checksum: string | null
}

/** A statement that a database rejected. */
export interface StatementFailure {
  /** Index of the statement. */
  readonly index: number
  /** Line within the statement, from 0; 0 when the database does not report it. */
  readonly line: number
  readonly message: string
}

/** The migrations of one database. */
export interface MigrationStore {
  /** Ordered by name; empty for a database that has never been migrated. */
  applied(): Promise<readonly AppliedMigration[]>
  /**
   * Runs the statements in order, then records the change; returns the first failure, without recording. A database with
   * transactions keeps nothing of a failed migration.
   */
  migrate(statements: readonly string[], change: MigrationChange): Promise<StatementFailure | undefined>
}
