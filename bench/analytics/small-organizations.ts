import { setTimeout as sleep } from 'node:timers/promises'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { sensorPayload, type PipelineStage, SMALL_ORGANIZATIONS } from '../rig/pipeline-stage.ts'

/** Messages per second of each organization. */
const PER_SECOND = 20
const SECONDS = 6
/** The number of envelopes that they send together in one run. */
export const TOTAL = PER_SECOND * SECONDS * SMALL_ORGANIZATIONS.length
const DEVICES = 2
/** The number of envelopes of a warm-up. */
const WARM_UP = DEVICES * SMALL_ORGANIZATIONS.length
const POLL_INTERVAL_MS = 50
const SETTLED_INTERVAL_MS = 500
/** The time after the last acknowledgement in which an envelope can still arrive. */
const GRACE_MS = 5000
/** The time after the last message from which on an envelope that has not arrived counts as lost. */
const MAX_WAIT_MS = 120_000

/** What became of the envelopes of the small organizations; a delay is infinite if the envelope did not arrive. */
export interface Arrivals {
  /** The delays in ms from publishing the raw envelope to the processed envelope. */
  readonly processed: readonly number[]
  /** The delays in ms from publishing the raw envelope to a visible row. */
  readonly visible: readonly number[]
  readonly deadLetters: number
  readonly lost: number
}

/** Creates the devices of the small organizations. */
export async function createSmallOrganizations(stage: PipelineStage): Promise<void> {
  for (const id of SMALL_ORGANIZATIONS) await stage.createDevices(`${id}-`, DEVICES, id, 'cayenne_lpp_decode(input)')
}

/** Publishes an envelope of each device; resolves when all are rows, so that their expressions were evaluated before. */
export async function warmUp(stage: PipelineStage, name: string): Promise<void> {
  const devices = SMALL_ORGANIZATIONS.flatMap((id) => Array.from({ length: DEVICES }, (_, n) => ({ id, n })))
  await Promise.all(
    devices.map(({ id, n }) => stage.publishRaw(id, `${id}-${n}`, sensorPayload(TOTAL), `${name}-warm-up-${id}-${n}`)),
  )
  const count = async (): Promise<number> => {
    const [found] = await stage.query<{ rows: number }>('SELECT toUInt32(count()) AS rows FROM processed_envelope_rows')
    return found?.rows ?? 0
  }
  while ((await count()) < WARM_UP) await sleep(POLL_INTERVAL_MS)
}

/** Publishes envelopes for some seconds; resolves when `onSent` was called and each envelope arrived, is a dead letter, or is lost. */
export async function sendLittle(stage: PipelineStage, name: string, onSent: () => Promise<void>): Promise<Arrivals> {
  const processed = await consumeProcessed(stage)
  const published = new Map<number, number>()
  const ended = publish(stage, name, published).then(async (lastSequence) => {
    await onSent()
    return lastSequence
  })
  const visible = await pollRows(stage, ended)
  const delaysOf = (arrivals: ReadonlyMap<number, number>) =>
    [...published].map(([number, at]) => (arrivals.get(number) ?? Infinity) - at)
  const missing = TOTAL - visible.size
  const deadLetters = missing === 0 ? 0 : await countDeadLetters(stage)
  return { processed: delaysOf(processed), visible: delaysOf(visible), deadLetters, lost: missing - deadLetters }
}

/** Publishes all envelopes and records their times; resolves to the last sequence in the stream when all are stored. */
async function publish(stage: PipelineStage, name: string, published: Map<number, number>): Promise<number> {
  const stored: Promise<number>[] = []
  const start = performance.now()
  for (let number = 0; number < TOTAL; number += 1) {
    const waitMs = start + (number * 1000 * SECONDS) / TOTAL - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    published.set(number, performance.now())
    const organization = SMALL_ORGANIZATIONS[number % SMALL_ORGANIZATIONS.length] ?? ''
    const device = `${organization}-${Math.floor(number / SMALL_ORGANIZATIONS.length) % DEVICES}`
    stored.push(stage.publishRaw(organization, device, sensorPayload(number), `${name}-${number}`))
  }
  return Math.max(...(await Promise.all(stored)))
}

/** Starts a consumer of the small organizations' processed envelopes; returns a map, filled as they arrive, from number to time. */
async function consumeProcessed(stage: PipelineStage): Promise<ReadonlyMap<number, number>> {
  const arrivals = new Map<number, number>()
  const devices = SMALL_ORGANIZATIONS.flatMap((id) => Array.from({ length: DEVICES }, (_, n) => `${id}-${n}`))
  const consumer = await stage.nats.jetstream.consumers.get('processed_envelopes', {
    filter_subjects: devices.map((device) => `processed_envelopes.${device}`),
  })
  await consumer.consume({
    callback: ({ data }) => {
      const number = Number(decodeProcessedEnvelope(data).data['generic_sensor_0'])
      if (!arrivals.has(number)) arrivals.set(number, performance.now())
    },
  })
  return arrivals
}

/**
 * Polls for rows; returns by number the time when the row was first visible. Ends when all rows are visible, or some time after
 * all envelopes up to the last one were acknowledged.
 */
async function pollRows(stage: PipelineStage, sent: Promise<number>): Promise<ReadonlyMap<number, number>> {
  const seen = new Map<number, number>()
  const isComplete = (): boolean => seen.size === TOTAL
  const ended = new AbortController()
  const ending = sent
    .then((sequence) => untilAcknowledged(stage, sequence, isComplete))
    .then(() => (isComplete() ? undefined : sleep(GRACE_MS)))
    .finally(() => ended.abort())
  const organizations = SMALL_ORGANIZATIONS.map((id) => `'${id}'`).join(', ')
  for (let lowest = 0; !ended.signal.aborted;) {
    const rows = await stage.query<{ n: number }>(
      `SELECT data.generic_sensor_0.:Float64 AS n FROM processed_envelope_rows
       WHERE organization_id IN (${organizations}) AND n >= ${lowest} AND n < ${TOTAL}`,
    )
    const at = performance.now()
    for (const { n } of rows) if (!seen.has(n)) seen.set(n, at)
    while (seen.has(lowest)) lowest += 1
    await sleep(POLL_INTERVAL_MS)
  }
  await ending
  return seen
}

/** Resolves when the raw envelope at the sequence, all before it, and their processed envelopes are acknowledged, when `isDone`, or after some time. */
async function untilAcknowledged(stage: PipelineStage, sequence: number, isDone: () => boolean): Promise<void> {
  const { consumers, streams } = stage.nats.manager
  const end = performance.now() + MAX_WAIT_MS
  const reaches = async (stream: string, durable: string, last: number): Promise<void> => {
    while (!isDone() && performance.now() < end) {
      if ((await consumers.info(stream, durable)).ack_floor.stream_seq >= last) return
      await sleep(SETTLED_INTERVAL_MS)
    }
  }
  await reaches('raw_envelopes', 'analytics-raw', sequence)
  const { state } = await streams.info('processed_envelopes')
  await reaches('processed_envelopes', 'analytics-processed', state.last_seq)
}

/** Counts the dead letters of the small organizations. */
async function countDeadLetters(stage: PipelineStage): Promise<number> {
  const { state } = await stage.nats.manager.streams.info('dead_letters')
  if (state.messages === 0) return 0
  const consumer = await stage.nats.jetstream.consumers.get('dead_letters')
  let count = 0
  for await (const { seq, subject, data } of await consumer.consume({ max_messages: 5000 })) {
    const decode = subject === 'dead_letters.raw_envelopes' ? decodeRawEnvelope : decodeProcessedEnvelope
    if (SMALL_ORGANIZATIONS.includes(decode(data).organizationId)) count += 1
    if (seq >= state.last_seq) break
  }
  return count
}
