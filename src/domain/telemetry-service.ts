import type { ProcessedEnvelope } from './entities.ts'
import { DomainError } from './errors.ts'
import { invalid, LIMITS, optionalText, requiredText } from './fields.ts'
import { pageSize, type PageInput, type PageOutput, decodeTelemetryToken, encodeTelemetryToken } from './paging.ts'
import type { CallOptions, EndDeviceRepository, OrganizationRepository, TelemetryReader } from './ports.ts'
import {
  fieldPaths,
  encodedBytes,
  withDepth,
  cursorOf,
  type StoredEnvelope,
  type TelemetryQuery,
  type TelemetryRange,
} from './telemetry.ts'

/** What a caller asks for. The times are null where they do not matter. */
export interface TelemetryInput extends Pick<TelemetryQuery, 'organizationId' | 'from' | 'to' | 'fieldPaths'> {
  /** Empty for all devices of the organization. */
  readonly endDeviceId: string
}

export interface TelemetryExportInput extends TelemetryInput {
  /** Null for all. */
  readonly limit: number | null
}

/** How a transport calls the parameters, for messages. */
export interface TelemetryParameterNames {
  readonly fieldPaths: string
}

export interface TelemetryServiceParts {
  readonly telemetry: TelemetryReader
  readonly organizations: Pick<OrganizationRepository, 'get'>
  readonly endDevices: Pick<EndDeviceRepository, 'get'>
}

/** gRPC clients accept answers of 4 MiB; the rest is for the other fields of up to 500 envelopes. */
const PAGE_DATA_BYTES = 3 * 1024 * 1024
/** Some clients accept messages in messages a hundred deep, and a level of JSON is up to three of these. */
const LEVELS = 32
const TIMEOUT_MS = 10_000
const GRPC_NAMES: TelemetryParameterNames = { fieldPaths: 'field_paths' }

/** What devices have said, for those who may read what belongs to one organization. Throws DomainError. */
export class TelemetryService {
  readonly #parts: TelemetryServiceParts

  constructor(parts: TelemetryServiceParts) {
    this.#parts = parts
  }

  /** The newest envelope of a device; null while it has none. `not_found` for a device that is not the organization's. */
  async latest(
    organizationId: string,
    endDeviceId: string,
    paths: readonly string[],
    options?: CallOptions,
  ): Promise<ProcessedEnvelope | null> {
    const device = requiredText('end_device_id', endDeviceId, LIMITS.id)
    const query = telemetryQuery({ organizationId, endDeviceId: device, from: null, to: null, fieldPaths: paths })
    await this.#assertOwned(query.organizationId, device, options)
    const range = { after: null, limit: 1, timeoutMs: TIMEOUT_MS }
    for await (const [stored] of this.#parts.telemetry.read(query, range, options))
      return stored === undefined ? null : sendable(stored)
    return null
  }

  /** Newest first. Empty for an unknown organization, and for a device that is not the organization's. */
  async list(input: TelemetryInput, page: PageInput, options?: CallOptions): Promise<PageOutput<ProcessedEnvelope>> {
    const query = telemetryQuery(input)
    const size = pageSize(page.pageSize)
    const after = page.pageToken === '' ? null : decodeTelemetryToken(page.pageToken, query)
    if ((await this.#parts.organizations.get(query.organizationId, options)) === null) {
      return { items: [], nextPageToken: '' }
    }
    const range = { after, limit: size + 1, timeoutMs: TIMEOUT_MS }
    const { stored, more } = await firstOf(this.#parts.telemetry.read(query, range, options), size)
    const last = stored.at(-1)
    return {
      items: stored.map(sendable),
      nextPageToken: more && last !== undefined ? encodeTelemetryToken(query, cursorOf(last)) : '',
    }
  }

  /** All of them, newest first, as they come. `not_found` for an unknown organization, before the first. */
  async *export(
    input: TelemetryExportInput,
    names: TelemetryParameterNames,
    options?: CallOptions,
  ): AsyncGenerator<readonly StoredEnvelope[], void, undefined> {
    const query = telemetryQuery(input, names)
    await this.#organization(query.organizationId, options)
    const range: TelemetryRange = { after: null, limit: input.limit, timeoutMs: null }
    yield* this.#parts.telemetry.read(query, range, options)
  }

  /** A device of another organization is as unknown as one that does not exist. */
  async #assertOwned(organizationId: string, endDeviceId: string, options?: CallOptions): Promise<void> {
    await this.#organization(organizationId, options)
    const device = await this.#parts.endDevices.get(endDeviceId, options)
    if (device?.organizationId === organizationId) return
    throw new DomainError('not_found', `End device not found: ${endDeviceId}`)
  }

  async #organization(id: string, options?: CallOptions): Promise<void> {
    const organization = await this.#parts.organizations.get(id, options)
    if (organization === null) throw new DomainError('not_found', `Organization not found: ${id}`)
  }
}

function telemetryQuery(input: TelemetryInput, names = GRPC_NAMES): TelemetryQuery {
  const { from, to } = input
  const organizationId = requiredText('organization_id', input.organizationId, LIMITS.id)
  const endDeviceId = optionalText('end_device_id', input.endDeviceId, LIMITS.id)
  if (from !== null && to !== null && from >= to) {
    throw invalid('to must be later than from: envelopes at from and later, and before to, are answered')
  }
  const paths = fieldPaths(names.fieldPaths, input.fieldPaths)
  return { organizationId, endDeviceId: endDeviceId === '' ? null : endDeviceId, from, to, fieldPaths: paths }
}

function sendable({ envelope }: StoredEnvelope): ProcessedEnvelope {
  return { ...envelope, data: withDepth(envelope.data, LEVELS) }
}

/** Up to `size` of them, fewer (but one at least) when they are large, and whether there are more. Reads no further. */
async function firstOf(
  batches: AsyncIterable<readonly StoredEnvelope[]>,
  size: number,
): Promise<{ readonly stored: readonly StoredEnvelope[]; readonly more: boolean }> {
  const stored: StoredEnvelope[] = []
  let bytes = 0
  for await (const batch of batches) {
    for (const one of batch) {
      bytes += encodedBytes(one.envelope.data)
      if (stored.length === size || (bytes > PAGE_DATA_BYTES && stored.length > 0)) return { stored, more: true }
      stored.push(one)
    }
  }
  return { stored, more: false }
}
