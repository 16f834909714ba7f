import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouse } from '../../../src/clickhouse/connection.ts'
import { deleteReadings, readingsOfEnvelopes, type StoredReading } from '../../../src/clickhouse/device-readings.ts'
import { toRowText, type EnvelopeRow } from '../../../src/clickhouse/envelope-text.ts'
import type { ProcessedEnvelopeWriter } from '../../../src/clickhouse/envelope-writer.ts'
import type { JsonObject, RawEnvelope } from '../../../src/domain/entities.ts'
import { MappingError, messageOf } from '../../../src/domain/errors.ts'
import type { Instant } from '../../../src/domain/instant.ts'
import { REPLAY_HEADERS } from '../../../src/nats/dead-letters.ts'
import type { HeldMessage } from '../../../src/nats/subject-messages.ts'
import { decodeRawEnvelope } from '../../../src/proto/envelope.ts'
import type { ProcessedOutcome, RawEnvelopeProcessor } from '../raw-envelope-processor.ts'
import { canonicalJson } from './canonical-json.ts'

export interface RedecodeParts {
  readonly clickhouse: ClickHouse
  readonly writer: ProcessedEnvelopeWriter
  readonly processor: Pick<RawEnvelopeProcessor, 'process'>
  readonly release: (dataBytes: number) => void
  readonly rawStream: string
}

export interface RedecodeOptions {
  readonly endDeviceId: string
  /** The times of receipt, from inclusive, to exclusive. */
  readonly from?: Instant | undefined
  readonly to?: Instant | undefined
  /** The sequence of the newest raw envelope that analytics has begun; later ones become rows of today's codec there. */
  readonly begun: number
  /** False for a preview. */
  readonly isApplied: boolean
}

export interface RedecodeResult {
  envelopes: number
  /** Envelopes that analytics has not begun. */
  notBegun: number
  /** Envelopes whose rows are kept because they cannot be decoded today, by reason. */
  readonly failures: Map<string, number>
  readonly rows: { equal: number; changed: number; new: number; vanished: number }
  /** The data and the warnings of one row before and after. */
  example: { readonly occurredAt: Instant; readonly before: string; readonly after: string } | null
}

/** The envelopes in memory, each with a result of at most 1 MiB. */
const GROUP = 16
const FULL_PAUSE_MS = 100
const MAX_REASONS = 1000

interface Decoded {
  readonly raw: RawEnvelope
  readonly rawId: string
  readonly rows: readonly EnvelopeRow[]
}

/**
 * Decodes raw envelopes again and replaces their rows. Rows are inserted before those that no longer belong to the envelope are deleted,
 * so that a run that is interrupted leaves too many rows, which the next run deletes.
 */
export async function redecode(
  parts: RedecodeParts,
  messages: AsyncIterable<HeldMessage>,
  options: RedecodeOptions,
  signal: AbortSignal,
): Promise<RedecodeResult> {
  const rows = { equal: 0, changed: 0, new: 0, vanished: 0 }
  const result: RedecodeResult = { envelopes: 0, notBegun: 0, failures: new Map(), rows, example: null }
  let group: Promise<Decoded | undefined>[] = []
  const finish = async (): Promise<void> => {
    const decoded = (await Promise.all(group)).filter((one) => one !== undefined)
    group = []
    await replaceRows(parts, decoded, options, result, signal)
  }
  for await (const message of messages) {
    const raw = rawOf(message)
    if (raw?.endDeviceId !== options.endDeviceId || !isInRange(raw, options)) continue
    if (message.streamSequence > options.begun) {
      result.notBegun += 1
      continue
    }
    result.envelopes += 1
    group.push(decode(parts, message, raw, result, signal))
    if (group.length >= GROUP) await finish()
  }
  await finish()
  return result
}

function rawOf({ body }: HeldMessage): RawEnvelope | undefined {
  try {
    return decodeRawEnvelope(body)
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    return undefined
  }
}

function isInRange({ receivedAt }: RawEnvelope, { from, to }: RedecodeOptions): boolean {
  return (from === undefined || receivedAt >= from) && (to === undefined || receivedAt < to)
}

async function decode(
  { processor, release, rawStream }: RedecodeParts,
  { streamSequence, storedAtMs, header }: HeldMessage,
  raw: RawEnvelope,
  { failures }: RedecodeResult,
  signal: AbortSignal,
): Promise<Decoded | undefined> {
  // As publishReadings has it.
  const rawId = header(REPLAY_HEADERS.of) ?? `${rawStream}:${streamSequence}:${storedAtMs}`
  for (;;) {
    const outcome = await processor.process(raw, signal)
    if (outcome.kind === 'processed') {
      release(outcome.dataBytes)
      const rows = rowsOf(outcome, rawId)
      const refusal = refusalOf(rows)
      if (refusal === undefined) return { raw, rawId, rows }
      recordFailure(failures, refusal)
      return undefined
    }
    if (outcome.kind === 'deferred') {
      await sleep(FULL_PAUSE_MS, undefined, { signal })
      continue
    }
    if (outcome.kind === 'retry') throw new Error(outcome.reason)
    recordFailure(failures, outcome.reason)
    return undefined
  }
}

function recordFailure(failures: Map<string, number>, text: string): void {
  const reason = failures.size < MAX_REASONS || failures.has(text) ? text : 'other reasons'
  failures.set(reason, (failures.get(reason) ?? 0) + 1)
}

function rowsOf({ envelopes, isList }: ProcessedOutcome, rawId: string): readonly EnvelopeRow[] {
  return envelopes.map((envelope, index) => ({ envelope, envelopeId: isList ? `${rawId}#${index}` : rawId }))
}

/** Returns the reason for which the table cannot store one of the rows; undefined if it can store all. */
function refusalOf(rows: readonly EnvelopeRow[]): string | undefined {
  try {
    for (const row of rows) toRowText(row)
    return undefined
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return `a row cannot be stored: ${messageOf(error)}`
  }
}

async function replaceRows(
  parts: RedecodeParts,
  decoded: readonly Decoded[],
  { isApplied }: RedecodeOptions,
  result: RedecodeResult,
  signal: AbortSignal,
): Promise<void> {
  const [device] = decoded.map(({ raw }) => raw)
  if (device === undefined) return
  const ids = decoded.map(({ rawId }) => rawId)
  const stored = new Map<string, StoredReading>()
  for (const reading of await readingsOfEnvelopes(parts.clickhouse, device, ids)) stored.set(keyOf(reading), reading)
  // A replayed envelope is twice in the stream, with one id.
  const wanted = new Map(decoded.flatMap(({ rows }) => rows).map((row) => [keyOfRow(row), row]))
  const written = [...wanted].filter(([key, row]) => compare(stored.get(key), row, result)).map(([, row]) => row)
  const vanished = [...stored].filter(([key]) => !wanted.has(key)).map(([, reading]) => reading)
  result.rows.vanished += vanished.length
  if (!isApplied) return
  const rejected = await write(parts, written, result, signal)
  const deleted = vanished.filter(({ envelopeId }) => !rejected.has(rawIdOf(envelopeId)))
  if (deleted.length > 0) await deleteReadings(parts.clickhouse, device, deleted)
}

/** Counts a row, and returns whether it differs from the stored one. */
function compare(before: StoredReading | undefined, { envelope }: EnvelopeRow, result: RedecodeResult): boolean {
  const after = textOf(envelope.data, envelope.warnings)
  const text = before && textOf(before.data, before.warnings)
  const kind = text === undefined ? 'new' : text === after ? 'equal' : 'changed'
  result.rows[kind] += 1
  if (kind === 'changed' && text !== undefined)
    result.example ??= { occurredAt: envelope.occurredAt, before: text, after }
  return kind !== 'equal'
}

function textOf(data: JsonObject, warnings: readonly string[] = []): string {
  return canonicalJson(data) + (warnings.length === 0 ? '' : ` warnings ${JSON.stringify(warnings)}`)
}

/** Writes rows and returns the ids of the raw envelopes of which ClickHouse has rejected a row. */
async function write(
  { writer }: RedecodeParts,
  rows: readonly EnvelopeRow[],
  { failures }: RedecodeResult,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const rejected = new Set<string>()
  for (const [index, outcome] of (await writer.write(rows, signal)).entries()) {
    const row = rows[index]
    if (outcome.kind === 'stored' || row === undefined) continue
    recordFailure(failures, `ClickHouse rejected a row: ${outcome.reason}`)
    rejected.add(rawIdOf(row.envelopeId))
  }
  return rejected
}

/** Returns the id of the raw envelope in that of a row. */
function rawIdOf(envelopeId: string): string {
  return envelopeId.split('#', 1)[0] ?? envelopeId
}

function keyOf({ envelopeId, occurredAt }: Pick<StoredReading, 'envelopeId' | 'occurredAt'>): string {
  return `${envelopeId} ${occurredAt}`
}

function keyOfRow({ envelope, envelopeId }: EnvelopeRow): string {
  return keyOf({ envelopeId, occurredAt: envelope.occurredAt })
}
