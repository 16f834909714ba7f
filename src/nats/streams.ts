import { JetStreamApiCodes, JetStreamApiError, type StreamConfig, type StreamInfo } from '@nats-io/jetstream'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { NatsEnvironment } from '../runner/environment.ts'
import { connectWithBackoff } from '../runner/startup.ts'
import type { NatsClient } from './connection.ts'

export interface StreamDefinition {
  readonly name: string
  readonly subjects: readonly string[]
  /** Absent or 0: messages do not expire. */
  readonly maxAgeMs?: number
  /** Absent or 0: no limit. A full stream rejects new messages instead of dropping old messages. */
  readonly maxBytes?: number
  readonly duplicateWindowMs?: number
  /** Absent: no limit. Further messages of the subject are rejected. */
  readonly maxMessagesPerSubject?: number
  /** Absent: the limit of the server. */
  readonly maxMessageBytes?: number
  /** True: the stream deletes a message when its only durable consumer acknowledges it. */
  readonly isWorkQueue?: boolean
}

/** The largest envelope that waits for its device, so that a full share of an organization is a small part of the stream. */
const DEFERRED_MAX_MESSAGE_BYTES = 8 * 1024
/** The largest bundle: a full one and a further envelope. */
const SURPLUS_MAX_MESSAGE_BYTES = 128 * 1024
const DEAD_LETTERS_MIN_AGE_MS = 30 * 24 * 3600 * 1000
/** The minimum window: after a crash of NATS, a message can be redelivered so long after its dead letter was stored. */
const DEAD_LETTERS_MIN_WINDOW_MS = 10 * 60 * 1000
export const NANOS_PER_MS = 1_000_000
const NAME_IN_USE = 10_058
const STORE_FAILED = 10_077
const MESSAGE_TOO_LARGE = 10_054
const SUBJECTS_OVERLAP = 10_065

type StreamEnvironment = Omit<
  NatsEnvironment,
  'PONIX_NATS_URL' | 'PONIX_NATS_BATCH_SIZE' | 'PONIX_NATS_BATCH_WAIT_MS' | 'PONIX_DEAD_LETTER_QUOTA'
>

/** Returns the six streams of the platform. Dead letters are kept for at least 30 days unless they have an age limit of their own. */
export function streamsOf(environment: StreamEnvironment): readonly StreamDefinition[] {
  const maxAgeMs = environment.PONIX_NATS_STREAM_MAX_AGE_MS
  const { PONIX_NATS_RAW_MAX_AGE_MS: rawAgeMs = maxAgeMs } = environment
  const { PONIX_NATS_PROCESSED_MAX_AGE_MS: processedAgeMs = maxAgeMs } = environment
  const { PONIX_PROCESSED_ENVELOPES_STREAM: processedStream } = environment
  const duplicateWindowMs = environment.PONIX_NATS_DUPLICATE_WINDOW_MS
  const limits = { maxAgeMs, maxBytes: environment.PONIX_NATS_STREAM_MAX_BYTES, duplicateWindowMs }
  return [
    { ...limits, maxAgeMs: rawAgeMs, name: environment.PONIX_NATS_RAW_STREAM, subjects: ['raw_envelopes.>'] },
    { ...limits, maxAgeMs: processedAgeMs, name: processedStream, subjects: ['processed_envelopes.>'] },
    { ...limits, name: environment.PONIX_NATS_GATEWAY_STREAM, subjects: ['gateway.>'] },
    {
      name: environment.PONIX_NATS_DEFERRED_STREAM,
      subjects: ['deferred_envelopes.*'],
      maxBytes: environment.PONIX_NATS_DEFERRED_MAX_BYTES,
      duplicateWindowMs,
      maxMessagesPerSubject: environment.PONIX_NATS_DEFERRED_MAX_PER_ORGANIZATION,
      maxMessageBytes: DEFERRED_MAX_MESSAGE_BYTES,
      isWorkQueue: true,
    },
    {
      name: environment.PONIX_NATS_SURPLUS_STREAM,
      subjects: ['surplus_envelopes.*'],
      maxBytes: environment.PONIX_NATS_SURPLUS_MAX_BYTES,
      duplicateWindowMs,
      maxMessagesPerSubject: environment.PONIX_NATS_SURPLUS_MAX_PER_ORGANIZATION,
      maxMessageBytes: SURPLUS_MAX_MESSAGE_BYTES,
      isWorkQueue: true,
    },
    {
      ...limits,
      name: 'dead_letters',
      subjects: ['dead_letters.>'],
      maxAgeMs:
        environment.PONIX_NATS_DEAD_LETTERS_MAX_AGE_MS ??
        (maxAgeMs === 0 ? 0 : Math.max(maxAgeMs, DEAD_LETTERS_MIN_AGE_MS)),
      duplicateWindowMs: Math.max(duplicateWindowMs, DEAD_LETTERS_MIN_WINDOW_MS),
    },
  ]
}

/** Returns whether an error means that a stream is full, or that a message exceeds its limit. */
export function isLimit(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError)) return false
  return error.code === MESSAGE_TOO_LARGE || (error.code === STORE_FAILED && error.message.startsWith('maximum '))
}

/** The streams that each client has ensured, to recreate a stream that is deleted while the service runs. */
const ensured = new WeakMap<NatsClient, Map<string, StreamDefinition>>()

/**
 * Creates missing streams; waits for JetStream with backoff and logs the wait once. An existing stream is never changed. Throws a
 * StartupError if JetStream does not answer or accept them in time, and for an existing stream with other subjects, which shows both.
 */
export async function ensureStreams(client: NatsClient, streams: readonly StreamDefinition[]): Promise<void> {
  const known = ensured.get(client) ?? new Map<string, StreamDefinition>()
  ensured.set(client, known)
  await connectWithBackoff(client.startup, async () => {
    for (const stream of streams) {
      await ensureStream(client, stream)
      known.set(stream.name, stream)
    }
  })
}

export function ensuredStreams(client: NatsClient): readonly string[] {
  return [...(ensured.get(client)?.keys() ?? [])]
}

/** Returns the age of a message in milliseconds by the clock of the server, which also applies the age limit. */
export function ageOf({ ts }: StreamInfo, storedAtMs: number): number {
  return Math.max(0, (ts === undefined ? Date.now() : Date.parse(ts)) - storedAtMs)
}

/** Returns whether the stream deletes a message as soon as it is acknowledged. */
export function isWorkQueue({ config }: Pick<StreamInfo, 'config'>): boolean {
  return config.retention === 'workqueue'
}

const MAX_CACHED_SUBJECTS = 1000

/**
 * Returns a function that maps a subject to its stream among those ensured so far; an empty name if there is none. It caches
 * because a search per message would dominate the cost of publishing.
 */
export function streamFinder(client: NatsClient): (subject: string) => string {
  const definitions = [...(ensured.get(client)?.values() ?? [])]
  const cache = new Map<string, string>()
  return (subject) => {
    let stream = cache.get(subject)
    if (stream !== undefined) return stream
    stream = definitionOf(definitions, subject)?.name ?? ''
    if (cache.size >= MAX_CACHED_SUBJECTS) cache.clear()
    cache.set(subject, stream)
    return stream
  }
}

function definitionOf(definitions: Iterable<StreamDefinition>, subject: string): StreamDefinition | undefined {
  return [...definitions].find(({ subjects }) => subjects.some((pattern) => covers(pattern, subject)))
}

/** Recreates the stream if this client ensured it before; returns whether it exists now. */
export async function restoreStream(client: NatsClient, name: string): Promise<boolean> {
  const definition = ensured.get(client)?.get(name)
  if (definition === undefined) return (await infoOf(client, name)) !== undefined
  await ensureStream(client, definition)
  return true
}

/** Recreates the deleted stream of a subject; returns false if certainly no stream captures the subject. */
export async function restoreStreamOf(client: NatsClient, subject: string): Promise<boolean> {
  try {
    const definition = definitionOf(ensured.get(client)?.values() ?? [], subject)
    if (definition !== undefined) await ensureStream(client, definition)
    const names = await client.manager.streams.names(subject).next()
    return names.length > 0
  } catch (error) {
    client.logger.debug({ subject }, `cannot determine whether a stream captures the subject: ${messageOf(error)}`)
    return true
  }
}

async function ensureStream(client: NatsClient, definition: StreamDefinition): Promise<void> {
  const existing = await infoOf(client, definition.name)
  if (existing !== undefined) return compare(client, definition, existing.config)
  try {
    await client.manager.streams.add(toConfig(definition))
    client.logger.info({ stream: definition.name, subjects: definition.subjects }, 'stream created')
  } catch (error) {
    const code = apiErrorCode(error)
    if (code === undefined) throw error
    if (code === SUBJECTS_OVERLAP) throw await overlap(client, definition, error)
    // Another service may have created it since the check above, with its own limits.
    const created = code === NAME_IN_USE ? await infoOf(client, definition.name) : undefined
    if (created !== undefined) return compare(client, definition, created.config)
    const message = `JetStream rejected the creation of stream ${definition.name}: ${messageOf(error)}`
    // Others, such as storage that is full or a cluster without a leader, are temporary.
    const isPermanent = error instanceof JetStreamApiError && error.status < 500
    throw new (isPermanent ? StartupError : Error)(message, { cause: error })
  }
}

export async function infoOf(client: NatsClient, name: string): Promise<StreamInfo | undefined> {
  return await undefinedIf(isStreamNotFound, client.manager.streams.info(name))
}

/** Returns the response, or undefined for an error of this kind. */
export async function undefinedIf<T>(
  isAbsent: (error: unknown) => boolean,
  request: Promise<T>,
): Promise<T | undefined> {
  return await request.catch((error: unknown) => {
    if (isAbsent(error)) return undefined
    throw error
  })
}

function toConfig(definition: StreamDefinition): { name: string } & Partial<StreamConfig> {
  const { name, subjects, maxAgeMs = 0, maxBytes = 0, duplicateWindowMs } = definition
  const { maxMessagesPerSubject, maxMessageBytes, isWorkQueue = false } = definition
  return {
    name,
    subjects: [...subjects],
    storage: 'file',
    retention: isWorkQueue ? 'workqueue' : 'limits',
    discard: 'new',
    max_age: maxAgeMs * NANOS_PER_MS,
    max_bytes: maxBytes === 0 ? -1 : maxBytes,
    ...(maxMessageBytes === undefined ? {} : { max_msg_size: maxMessageBytes }),
    ...(maxMessagesPerSubject === undefined
      ? {}
      : { max_msgs_per_subject: maxMessagesPerSubject, discard_new_per_subject: true }),
    ...(duplicateWindowMs === undefined
      ? {}
      : { duplicate_window: clampWindow(duplicateWindowMs, maxAgeMs) * NANOS_PER_MS }),
  }
}

/** Limits the window: JetStream rejects a duplicate window that is longer than the stream's age limit. */
function clampWindow(duplicateWindowMs: number, maxAgeMs: number): number {
  return maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs)
}

const COMPARED = [
  'max_age',
  'max_bytes',
  'max_msgs_per_subject',
  'max_msg_size',
  'duplicate_window',
  'discard',
  'retention',
  'storage',
] as const

function compare(client: NatsClient, definition: StreamDefinition, existing: StreamConfig): void {
  const wanted = [...definition.subjects].sort()
  const found = [...existing.subjects].sort()
  if (wanted.join(' ') !== found.join(' ')) {
    throw new StartupError(
      `stream ${definition.name} exists with the subjects ${found.join(', ')}; expected ${wanted.join(', ')}. ` +
        `Delete or rename the stream, or set another stream name in the environment`,
    )
  }
  const config = toConfig(definition)
  const limits = COMPARED.filter((limit) => config[limit] !== undefined && config[limit] !== existing[limit])
  if (limits.length === 0) return
  const differing = Object.fromEntries(
    limits.map((limit) => [limit, { expected: config[limit], found: existing[limit] }]),
  )
  client.logger.warn(
    { stream: definition.name, differing },
    'the existing stream has other limits; they stay unchanged',
  )
}

async function overlap(client: NatsClient, definition: StreamDefinition, cause: unknown): Promise<StartupError> {
  const others = new Set<string>()
  for (const subject of definition.subjects) {
    for await (const name of client.manager.streams.names(subject)) others.add(name)
  }
  const subjects = definition.subjects.join(', ')
  return new StartupError(
    `cannot create stream ${definition.name} with the subjects ${subjects}: stream ${[...others].join(', ')} already has them; delete it or change its subjects`,
    { cause },
  )
}

/** Returns whether `pattern` matches every subject that `filter` matches; both can contain the wildcards `*` and `>`. */
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

/** Returns the `err_code` of an error reply of JetStream's API; undefined for any other error. */
function apiErrorCode(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined
}

export function isStreamNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.StreamNotFound
}

export function isConsumerNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.ConsumerNotFound
}

export function isMessageNotFound(error: unknown): boolean {
  return apiErrorCode(error) === 10_037
}
