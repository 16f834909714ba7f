import { JetStreamApiError, type StreamConfig, JetStreamApiCodes } from '@nats-io/jetstream'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { NatsEnvironment } from '../runner/environment.ts'
import type { NatsClient } from './connection.ts'

/** A stream as this project needs it; W-1 has the four. */
export interface StreamDefinition {
  readonly name: string
  readonly subjects: readonly string[]
  /** Absent or 0: messages stay whatever their age. */
  readonly maxAgeMs?: number
  /** Absent or 0: no limit. A full stream refuses messages rather than dropping the oldest unread. */
  readonly maxBytes?: number
  readonly duplicateWindowMs?: number
}

const DEAD_LETTERS_MIN_AGE_MS = 30 * 24 * 3600 * 1000
/** After a crash of NATS a message may be delivered again that long after its dead letter was stored. */
const DEAD_LETTERS_MIN_WINDOW_MS = 10 * 60 * 1000
const NANOS_PER_MS = 1_000_000
const NAME_IN_USE = 10_058
const SUBJECTS_OVERLAP = 10_065

/** The streams of W-1, with the names and limits that the environment gives. Dead letters stay 30 days at least. */
export function streamDefinitions(environment: {
  readonly rawStream: string
  readonly processedStream: string
  readonly gatewayStream: string
  readonly maxAgeMs: number
  readonly maxBytes: number
  readonly duplicateWindowMs: number
}): readonly StreamDefinition[] {
  const { rawStream, processedStream, gatewayStream, maxAgeMs, maxBytes, duplicateWindowMs } = environment
  const limits = { maxAgeMs, maxBytes, duplicateWindowMs }
  const deadLettersAgeMs = maxAgeMs === 0 ? 0 : Math.max(maxAgeMs, DEAD_LETTERS_MIN_AGE_MS)
  return [
    { name: rawStream, subjects: ['raw_envelopes.>'], ...limits },
    { name: processedStream, subjects: ['processed_envelopes.>'], ...limits },
    { name: gatewayStream, subjects: ['gateway.>'], ...limits },
    {
      name: 'dead_letters',
      subjects: ['dead_letters.>'],
      maxBytes,
      maxAgeMs: deadLettersAgeMs,
      duplicateWindowMs: Math.max(duplicateWindowMs, DEAD_LETTERS_MIN_WINDOW_MS),
    },
  ]
}

/** What each client has ensured, so that a stream that is deleted while the service runs can be made again (N-6). */
const ensured = new WeakMap<NatsClient, Map<string, StreamDefinition>>()

/**
 * Creates what is missing; a stream of that name with other subjects is an error that shows both, and is never changed (N-1).
 * Throws a StartupError.
 */
export async function ensureStreams(client: NatsClient, streams: readonly StreamDefinition[]): Promise<void> {
  const known = ensured.get(client) ?? new Map<string, StreamDefinition>()
  ensured.set(client, known)
  warnOfByteLimits(client, streams)
  for (const stream of streams) {
    await ensureStream(client, stream)
    known.set(stream.name, stream)
  }
}

/**
 * A full stream is to refuse what is new (`discard: new`). Servers before 2.10.5 reckon a message smaller than it is when they
 * check that, and may then drop the oldest to keep the limit (nats-server issue 4771); age limits are not concerned.
 */
function warnOfByteLimits(client: NatsClient, streams: readonly StreamDefinition[]): void {
  const version = client.connection.info?.version ?? ''
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const exact = major * 1e6 + minor * 1e3 + patch >= 2_010_005
  if (exact || !streams.some(({ maxBytes = 0 }) => maxBytes > 0)) return
  client.logger.warn(
    `nats-server ${version} may drop the oldest messages of a stream at its byte limit; use 2.10.5 or newer, or limit by age alone`,
  )
}

/** Tells which of the streams that this client has ensured so far takes a subject; an empty name if none does. */
export function streamFinder(client: NatsClient): (subject: string) => string {
  const definitions = [...(ensured.get(client)?.values() ?? [])]
  return (subject) => definitionOf(definitions, subject)?.name ?? ''
}

function definitionOf(definitions: readonly StreamDefinition[], subject: string): StreamDefinition | undefined {
  return definitions.find(({ subjects }) => subjects.some((pattern) => covers(pattern, subject)))
}

/** Makes the stream again if this client ensured it before; says whether it is there now. */
export async function restoreStream(client: NatsClient, name: string): Promise<boolean> {
  const definition = ensured.get(client)?.get(name)
  if (definition === undefined) return (await configOf(client, name)) !== undefined
  await ensureStream(client, definition)
  return true
}

/** Makes a deleted stream again, the one that takes this subject; false when it is sure that no stream takes it. */
export async function restoreStreamOf(client: NatsClient, subject: string): Promise<boolean> {
  try {
    const definition = definitionOf([...(ensured.get(client)?.values() ?? [])], subject)
    if (definition !== undefined) await ensureStream(client, definition)
    const names = await client.manager.streams.names(subject).next()
    return names.length > 0
  } catch (error) {
    client.logger.debug({ subject }, `cannot tell whether a stream takes the subject: ${messageOf(error)}`)
    return true
  }
}

async function ensureStream(client: NatsClient, definition: StreamDefinition): Promise<void> {
  const existing = await configOf(client, definition.name)
  if (existing !== undefined) return compare(client, definition, existing)
  try {
    await client.manager.streams.add(toConfig(definition))
    client.logger.info({ stream: definition.name, subjects: definition.subjects }, 'stream created')
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error
    if (error.code === SUBJECTS_OVERLAP) throw await overlap(client, definition, error)
    if (error.code !== NAME_IN_USE) throw refused(definition, error)
    // Another service created it since we looked, with limits of its own.
    const created = await configOf(client, definition.name)
    if (created === undefined) throw refused(definition, error)
    compare(client, definition, created)
  }
}

async function configOf(client: NatsClient, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await client.manager.streams.info(name)).config
  } catch (error) {
    if (isStreamNotFound(error)) return undefined
    throw error
  }
}

function toConfig(definition: StreamDefinition): { name: string } & Partial<StreamConfig> {
  const { name, subjects, maxAgeMs = 0, maxBytes = 0, duplicateWindowMs } = definition
  return {
    name,
    subjects: [...subjects],
    storage: 'file',
    retention: 'limits',
    discard: 'new',
    max_age: maxAgeMs * NANOS_PER_MS,
    max_bytes: maxBytes === 0 ? -1 : maxBytes,
    ...(duplicateWindowMs === undefined
      ? {}
      : { duplicate_window: windowWithin(duplicateWindowMs, maxAgeMs) * NANOS_PER_MS }),
  }
}

/** JetStream refuses a duplicate window that is longer than the stream's age limit. */
function windowWithin(duplicateWindowMs: number, maxAgeMs: number): number {
  return maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs)
}

function compare(client: NatsClient, definition: StreamDefinition, existing: StreamConfig): void {
  const wanted = [...definition.subjects].sort()
  const found = [...existing.subjects].sort()
  if (wanted.join(' ') !== found.join(' ')) {
    throw new StartupError(
      `stream ${definition.name} exists with the subjects ${found.join(', ')}; expected ${wanted.join(', ')}. ` +
        `Delete or rename the stream, or give this one another name in the environment`,
    )
  }
  const config = toConfig(definition)
  const limits = (['max_age', 'max_bytes', 'duplicate_window', 'discard', 'storage'] as const).filter(
    (limit) => config[limit] !== undefined && config[limit] !== existing[limit],
  )
  if (limits.length === 0) return
  const differing = Object.fromEntries(
    limits.map((limit) => [limit, { expected: config[limit], found: existing[limit] }]),
  )
  client.logger.warn({ stream: definition.name, differing }, 'the stream has other limits; they are left as they are')
}

async function overlap(client: NatsClient, definition: StreamDefinition, cause: Error): Promise<StartupError> {
  const others = new Set<string>()
  for (const subject of definition.subjects) {
    for await (const name of client.manager.streams.names(subject)) others.add(name)
  }
  const subjects = definition.subjects.join(', ')
  return new StartupError(
    `stream ${definition.name} cannot take the subjects ${subjects}: stream ${[...others].join(', ')} has them already`,
    { cause },
  )
}

function refused(definition: StreamDefinition, cause: Error): StartupError {
  return new StartupError(`JetStream refused to create stream ${definition.name}: ${messageOf(cause)}`, { cause })
}

/** The streams of W-1 with the names and limits of the environment. */
export function streamsOf(environment: NatsEnvironment): readonly StreamDefinition[] {
  return streamDefinitions({
    rawStream: environment.PONIX_NATS_RAW_STREAM,
    processedStream: environment.PONIX_PROCESSED_ENVELOPES_STREAM,
    gatewayStream: environment.PONIX_NATS_GATEWAY_STREAM,
    maxAgeMs: environment.PONIX_NATS_STREAM_MAX_AGE_MS,
    maxBytes: environment.PONIX_NATS_STREAM_MAX_BYTES,
    duplicateWindowMs: environment.PONIX_NATS_DUPLICATE_WINDOW_MS,
  })
}

/** The answer of JetStream's API that this error is, as its `err_code`; undefined for any other error. */
export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined
}

export function isStreamNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.StreamNotFound
}

export function isConsumerNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.ConsumerNotFound
}

/** Whether every subject that `filter` matches is matched by `pattern` too; both may have the wildcards `*` and `>`. */
export function covers(pattern: string, filter: string): boolean {
  const wide = pattern.split('.')
  const narrow = filter.split('.')
  for (const [index, token] of wide.entries()) {
    const other = narrow[index]
    if (other === undefined) return false
    if (token === '>') return true
    if (other === '>') return false
    if (token !== '*' && token !== other) return false
  }
  return wide.length === narrow.length
}
