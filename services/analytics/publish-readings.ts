import type { ProcessedEnvelope } from '../../src/domain/entities.ts'
import { PublishError } from '../../src/domain/errors.ts'
import type { Delivery } from '../../src/nats/delivery.ts'
import { originOf, REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import type { Producer } from '../../src/nats/publisher/producer.ts'
import { subjectToken, type Stored } from '../../src/nats/publisher/publication.ts'
import { encodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import type { ProcessedOutcome } from './raw-envelope-processor.ts'

export interface PublishReadingsParts {
  readonly producer: Producer
  readonly rawStream: string
}

/** The limit of the readings of one payload in flight, so that a long list neither takes memory nor the window of the producer. */
const IN_FLIGHT = { messages: 32, bytes: 64 * 1024 }
/** The limit of all processed envelopes of one raw envelope: each repeats the metadata of the uplink and the warnings. */
const MAX_TOTAL_BYTES = 8 * 1024 * 1024

/**
 * Publishes the processed envelopes of a raw envelope; returns whether all of them had been stored before.
 *
 * The message id is the position of the raw envelope in its stream, so that it is the same on every redelivery. It contains the time
 * because sequences restart when the stream is recreated. A replayed message keeps its first id: an envelope is stored once, even if it
 * is replayed repeatedly. The readings of a list have the same id with their index.
 */
export async function publishReadings(
  { producer, rawStream }: PublishReadingsParts,
  delivery: Delivery,
  { envelopes, isList }: ProcessedOutcome,
): Promise<boolean> {
  const { stream, streamSequence, storedAtMs } = originOf(delivery, rawStream)
  const id = delivery.header(REPLAY_HEADERS.of) ?? `${stream}:${streamSequence}:${storedAtMs}`
  const [only] = envelopes
  if (isList || only === undefined) return await publishList(producer, envelopes, id)
  return (await publish(producer, only, id)).duplicate
}

/** Publishes the largest reading first: if NATS does not accept it, no other is stored, and only a dead letter remains. */
async function publishList(producer: Producer, envelopes: readonly ProcessedEnvelope[], id: string): Promise<boolean> {
  const first = largestOf(envelopes)
  const order = [...envelopes.keys()].toSorted((a, b) => Number(b === first) - Number(a === first))
  let allDuplicates = true
  let group: Promise<Stored>[] = []
  let bytes = 0
  for (const index of order) {
    const envelope = envelopes[index]
    if (envelope === undefined) continue
    const body = encodeProcessedEnvelope(envelope)
    group.push(publish(producer, envelope, `${id}#${index}`, body))
    bytes += body.length
    const isLast = index === order.at(-1)
    if (index !== first && !isLast && group.length < IN_FLIGHT.messages && bytes < IN_FLIGHT.bytes) continue
    for (const { duplicate } of await Promise.all(group)) allDuplicates &&= duplicate
    group = []
    bytes = 0
  }
  return allDuplicates
}

function largestOf(envelopes: readonly ProcessedEnvelope[]): number {
  let largest = 0
  let largestBytes = 0
  let total = 0
  for (const [index, envelope] of envelopes.entries()) {
    const { length } = encodeProcessedEnvelope(envelope)
    total += length
    if (length <= largestBytes) continue
    largest = index
    largestBytes = length
  }
  if (total <= MAX_TOTAL_BYTES) return largest
  const reason =
    `its ${envelopes.length} readings take ${total} bytes, with the metadata of the uplink and the warnings in each; ` +
    `at most ${MAX_TOTAL_BYTES} are allowed`
  throw new PublishError('too_large', reason)
}

/** Publishes without a signal, which would dominate the cost: a publication that is not stored at the end is not acknowledged. */
function publish(
  producer: Producer,
  envelope: ProcessedEnvelope,
  messageId: string,
  body = encodeProcessedEnvelope(envelope),
): Promise<Stored> {
  return producer.publish({ subject: `processed_envelopes.${subjectToken(envelope.endDeviceId)}`, body, messageId })
}
