import type { Codec, Decoded } from './codecs/codec.ts'
import type { DeviceProfile } from './codecs/device-profile.ts'
import type { EndDevice, Gateway, Organization, Uplink } from './entities.ts'
import type { Instant } from './instant.ts'
import type { ReadPoint } from './gateway-orchestration/version.ts'
import type { StoredEnvelope, TelemetryQuery, TelemetryRange } from './telemetry.ts'

/** A page of a list ordered by (createdAt, id), both descending. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Start of the next page; null on the last page. */
  readonly next: PageCursor | null
}

/** The last item of the previous page. */
export interface PageCursor {
  readonly createdAt: bigint
  readonly id: string
}

export interface PageRequest {
  readonly size: number
  readonly after: PageCursor | null
}

/** Options of calls that reach a store; an aborted signal cancels the statement. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** The values of a new entity; timestamps come from the store. */
export type NewOrganization = Pick<Organization, 'id' | 'name' | 'status'> &
  Partial<Pick<Organization, 'retentionDays'>>
export type NewEndDevice = Pick<
  EndDevice,
  'deviceId' | 'organizationId' | 'name' | 'payloadConversion' | 'externalId' | 'profileId'
>
export type NewDeviceProfile = Omit<DeviceProfile, 'createdAt' | 'updatedAt'>
export type NewGateway = Pick<Gateway, 'gatewayId' | 'organizationId' | 'name' | 'gatewayType' | 'gatewayConfig'>

/** The fields to change; undefined keeps a value. `updatedAt` always changes. */
export type Change<T> = { readonly [K in keyof T]?: T[K] | undefined }
export type OrganizationChange = Change<Pick<Organization, 'name' | 'status' | 'retentionDays'>>
export type EndDeviceChange = Change<Pick<EndDevice, 'name' | 'payloadConversion' | 'externalId' | 'profileId'>>
export type DeviceProfileChange = Change<Omit<NewDeviceProfile, 'profileId' | 'organizationId'>>
export type GatewayChange = Change<Pick<Gateway, 'name' | 'gatewayType' | 'gatewayConfig'>>

/**
 * A store of entities. Throws DomainError: `unavailable` if the store does not answer, `already_exists` for a duplicate id
 * or external id,
 * `not_found` ("Organization not found: {id}") when the organization of a new entity is missing or deleted. `get`, `update` and
 * `delete` return null for a missing or deleted entity.
 */
interface Repository<Entity, New, Changes> {
  create(entity: New, options?: CallOptions): Promise<Entity>
  get(id: string, options?: CallOptions): Promise<Entity | null>
  /** Returns those entities by id that exist and are not deleted. */
  getMany(ids: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, Entity>>
  update(id: string, change: Changes, options?: CallOptions): Promise<Entity | null>
  delete(id: string, options?: CallOptions): Promise<Entity | null>
}

/** The organizations whose processed envelopes are kept for the same time. */
export interface RetentionGroup {
  readonly days: number
  readonly organizationIds: readonly string[]
}

export interface RetentionReader {
  /** Yields the organizations with a retention, also deleted ones, in groups of limited size, shortest retention first. */
  retentions(options?: CallOptions): AsyncIterable<RetentionGroup>
}

/** `delete` throws `failed_precondition` while the organization owns gateways, end devices or device profiles. */
export interface OrganizationRepository extends Repository<Organization, NewOrganization, OrganizationChange> {
  list(page: PageRequest, options?: CallOptions): Promise<Page<Organization>>
}

export interface EndDeviceRepository extends Repository<EndDevice, NewEndDevice, EndDeviceChange> {
  list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<EndDevice>>
  /** Returns the device of the organization with this external id in its normal form. */
  findByExternalId(organizationId: string, externalId: string, options?: CallOptions): Promise<EndDevice | null>
}

/** The codec of a profile, and the name of the profile. */
export type ProfileCodec = Codec & { readonly profileName: string }

/** `delete` throws `failed_precondition` while devices have the profile. */
export interface DeviceProfileRepository extends Repository<DeviceProfile, NewDeviceProfile, DeviceProfileChange> {
  /** Lists the profiles of the organization and the shared ones, without samples; an empty id lists the shared ones only. */
  list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<DeviceProfile>>
  /** Returns the codecs of those of these profiles that exist. */
  getCodecs(profileIds: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, ProfileCodec>>
  /** As `update`, but also returns null if the profile has changed since `stored` was read. */
  updateUnchanged(
    stored: DeviceProfile,
    change: DeviceProfileChange,
    options?: CallOptions,
  ): Promise<DeviceProfile | null>
}

/**
 * Yields the gateways of an organization that are not deleted and can receive the same messages as a gateway with this host and topic
 * filter, and possibly others, in pages.
 */
export type OverlapCandidates = (host: string, topicFilter: string) => AsyncIterable<readonly Gateway[]>

/**
 * `check` can refuse a write by throwing, depending on other gateways of the organization. Writes with a check in one
 * organization run one after the other, so no gateway changes unseen meanwhile.
 */
export interface GatewayRepository extends Repository<Gateway, NewGateway, GatewayChange> {
  create(
    gateway: NewGateway,
    options?: CallOptions,
    check?: (candidates: OverlapCandidates) => Promise<void>,
  ): Promise<Gateway>
  /** `check` gets the stored gateway. */
  update(
    id: string,
    change: GatewayChange,
    options?: CallOptions,
    check?: (stored: Gateway, candidates: OverlapCandidates) => Promise<void>,
  ): Promise<Gateway | null>
  list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>>
}

/** Every change of a gateway but one of the status also changes `updatedAt`. */
export type GatewayVersion = Pick<Gateway, 'gatewayId' | 'updatedAt'>

/** The gateways of all organizations, as the gateway orchestrator reads them. Throws DomainError `unavailable`. */
export interface GatewayTable {
  /** Returns a point that everything read afterwards contains. */
  readPoint(options?: CallOptions): Promise<ReadPoint>
  /** Yields ids and versions of the gateways that are not deleted, of organizations that are not deleted, in pages. */
  versions(options?: CallOptions): AsyncIterable<readonly GatewayVersion[]>
  /** Returns those of these gateways that are not deleted. */
  getAll(gatewayIds: readonly string[], options?: CallOptions): Promise<readonly Gateway[]>
}

/** Reads stored envelopes. Throws DomainError `unavailable` when the store does not answer in time. */
export interface TelemetryReader {
  /**
   * Yields each envelope of the organization once, newest first, in batches. Ending the iteration or aborting ends the query in
   * the store. Envelopes stored meanwhile do not change the position of existing ones.
   */
  read(query: TelemetryQuery, range: TelemetryRange, options?: CallOptions): AsyncIterable<readonly StoredEnvelope[]>
}

/** An error in a CEL expression; line and column start at 1. */
export interface PayloadConversionFault {
  readonly ok: false
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Compiles an end device's CEL expression without running it; returns errors instead of throwing. */
export interface PayloadConversionChecker {
  check(source: string): { readonly ok: true } | PayloadConversionFault
}

/** What a codec may use of an uplink besides its payload. */
export interface CodecInput {
  readonly receivedAt: Instant
  readonly uplink?: Uplink | undefined
  /** False: the result is that of decodeUplink, even if the codec has normalizeUplink. Default true. */
  readonly normalize?: boolean | undefined
}

/** The result of a codec for one payload. A reason is one line, and begins with the position in the source if it is known. */
export type CodecOutcome = (
  | { readonly ok: true; readonly data: Decoded; readonly warnings?: readonly string[] | undefined }
  | { readonly ok: false; readonly reason: string }
) & {
  /** The processor time of the call; absent if it is not known. */
  readonly tookMs?: number | undefined
}

/**
 * Runs codecs with the limits of the platform, in the share of an organization. Throws `unavailable` if too many payloads of the
 * organization wait.
 */
export interface CodecRunner {
  /** Loads a codec without a payload: a JavaScript program runs its top level and must have an entry point. */
  check(organizationId: string, codec: Codec): Promise<CodecOutcome>
  /** Runs a codec; a result that the platform could not store is a failure. */
  run(organizationId: string, codec: Codec, payload: Uint8Array, input: CodecInput): Promise<CodecOutcome>
}

export interface AppliedMigration {
  readonly name: string
  readonly checksum: string
  readonly appliedAt: Date
}

/** A migration to record: `checksum` of an applied one, null for a reverted one. */
export interface MigrationChange {
  readonly name: string
  readonly checksum: string | null
}

/** A statement that a database rejected. */
export interface StatementFailure {
  readonly index: number
  /** Line within the statement, from 0; 0 if the database does not report it. */
  readonly line: number
  readonly message: string
}

export interface MigrationStore {
  /** Returns the applied migrations, ordered by name; empty for a database that has never been migrated. */
  applied(): Promise<readonly AppliedMigration[]>
  /**
   * Runs the statements in order, then records the change; returns the first failure, without recording. A database with
   * transactions keeps nothing of a failed migration.
   */
  migrate(statements: readonly string[], change: MigrationChange): Promise<StatementFailure | undefined>
}
