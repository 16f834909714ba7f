import type { ProcessedEnvelope } from './entities.ts'
import { found, invalid, LIMITS, optionalText, requiredId } from './fields.ts'
import { pageSize, type PageInput, type PageOutput, decodeTelemetryToken, encodeTelemetryToken } from './paging.ts'
import type { CallOptions, EndDeviceRepository, OrganizationRepository, TelemetryReader } from './ports.ts'
import {
  fieldPaths,
  encodedBytes,
  limitDepth,
  cursorOf,
  type StoredEnvelope,
  type TelemetryQuery,
  type TelemetryRange,
} from './telemetry.ts'

export interface TelemetryInput extends Omit<TelemetryQuery, 'endDeviceId'> {
  /** Empty for all devices of the organization. */
  readonly endDeviceId: string
}

export interface TelemetryExportInput extends TelemetryInput {
  /** Null for no limit. */
  readonly limit: number | null
}

export interface TelemetryServiceParts {
  readonly telemetry: TelemetryReader
  readonly organizations: Pick<OrganizationRepository, 'get'>
  readonly endDevices: Pick<EndDeviceRepository, 'get'>
}

/** The limit of data in a page: gRPC clients accept responses of 4 MiB, and the rest is reserved for the other fields. */
const PAGE_DATA_BYTES = 3 * 1024 * 1024
/** The limit of nested JSON: some clients accept 100 levels of nested messages, and a level of JSON takes up to three. */
const MAX_LEVELS = 32
const TIMEOUT_MS = 10_000

/** Reads the envelopes of one organization. Throws DomainError. */
export class TelemetryService {
  readonly #parts: TelemetryServiceParts

  constructor(parts: TelemetryServiceParts) {
    this.#parts = parts
  }

  /** Returns the newest envelope of a device, or null. `not_found` for a device that the organization does not own. */
  async latest(
    organizationId: string,
    endDeviceId: string,
    paths: readonly string[],
    options?: CallOptions,
  ): Promise<ProcessedEnvelope | null> {
    const device = requiredId('end_device_id', endDeviceId)
    const whole = { from: null, to: null, withUplink: true }
    const query = telemetryQuery({ organizationId, endDeviceId: device, ...whole, fieldPaths: paths })
    await this.#assertOwned(query.organizationId, device, options)
    const range = { after: null, limit: 1, timeoutMs: TIMEOUT_MS }
    for await (const [stored] of this.#parts.telemetry.read(query, range, options))
      return stored === undefined ? null : sendable(stored)
    return null
  }

  /** Lists a page, newest first. Empty for an unknown organization and for a device that the organization does not own. */
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

  /**
   * Streams all envelopes, newest first. Throws `not_found` for an unknown organization before the first one. `parameter` is the
   * transport's name for the field paths, for error messages.
   */
  async *export(
    input: TelemetryExportInput,
    parameter: string,
    options?: CallOptions,
  ): AsyncGenerator<readonly StoredEnvelope[], void, undefined> {
    const query = telemetryQuery(input, parameter)
    await this.#assertOrganization(query.organizationId, options)
    const range: TelemetryRange = { after: null, limit: input.limit, timeoutMs: null }
    yield* this.#parts.telemetry.read(query, range, options)
  }

  /** Throws unless the organization owns the device; a device of another organization is reported as not found. */
  async #assertOwned(organizationId: string, endDeviceId: string, options?: CallOptions): Promise<void> {
    await this.#assertOrganization(organizationId, options)
    const device = await this.#parts.endDevices.get(endDeviceId, options)
    found('End device', endDeviceId, device?.organizationId === organizationId ? device : null)
  }

  async #assertOrganization(id: string, options?: CallOptions): Promise<void> {
    found('Organization', id, await this.#parts.organizations.get(id, options))
  }
}

function telemetryQuery(input: TelemetryInput, parameter = 'field_paths'): TelemetryQuery {
  const { from, to, withUplink } = input
  const organizationId = requiredId('organization_id', input.organizationId)
  const endDeviceId = optionalText('end_device_id', input.endDeviceId, LIMITS.id)
  if (from !== null && to !== null && from >= to) {
    throw invalid('to must be later than from; from is inclusive, to is exclusive')
  }
  const paths = fieldPaths(parameter, input.fieldPaths)
  return {
    organizationId,
    endDeviceId: endDeviceId === '' ? null : endDeviceId,
    from,
    to,
    fieldPaths: paths,
    withUplink,
  }
}

function sendable({ envelope }: StoredEnvelope): ProcessedEnvelope {
  const { uplink } = envelope
  const metadata = uplink?.metadata && limitDepth(uplink.metadata, MAX_LEVELS)
  const limited = metadata === undefined ? {} : { uplink: { ...uplink, metadata } }
  return { ...envelope, data: limitDepth(envelope.data, MAX_LEVELS), ...limited }
}

/** Reads up to `size` envelopes, fewer (at least one) when they are large, and whether there are more. */
async function firstOf(
  batches: AsyncIterable<readonly StoredEnvelope[]>,
  size: number,
): Promise<{ readonly stored: readonly StoredEnvelope[]; readonly more: boolean }> {
  const stored: StoredEnvelope[] = []
  let bytes = 0
  for await (const batch of batches) {
    for (const item of batch) {
      bytes += encodedBytes(item.envelope.data) + encodedBytes(item.envelope.uplink?.metadata ?? null)
      if (stored.length === size || (bytes > PAGE_DATA_BYTES && stored.length > 0)) return { stored, more: true }
      stored.push(item)
    }
  }
  return { stored, more: false }
}
