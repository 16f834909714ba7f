import type { ConsumerConfig, ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { StartupError } from '../runner/startup.ts'
import { isConsumerNotFound } from './api-errors.ts'
import type { NatsClient } from './connection.ts'
import { covers } from './subjects.ts'

/** A durable pull consumer as this project needs it. */
export interface DurableDefinition {
  readonly stream: string
  readonly durable: string
  readonly filterSubject: string
  readonly ackWaitMs: number
  readonly maxAckPending: number
}

const NANOS_PER_MS = 1_000_000

/**
 * Creates the consumer if it is missing and brings its deadlines and limits up to date. Throws a StartupError when its filter
 * lies outside the stream's subjects, or when it exists as another kind of consumer; what JetStream itself throws when the
 * stream is missing or JetStream does not answer.
 */
export async function ensureDurable(client: NatsClient, definition: DurableDefinition): Promise<void> {
  const { consumers, streams } = client.manager
  const { stream, durable } = definition
  checkFilter(definition, await streams.info(stream))
  const existing = await find(client, definition)
  if (existing === undefined) {
    await consumers.add(stream, toConfig(definition))
    client.logger.info({ stream, durable, filter: definition.filterSubject }, 'durable consumer created')
    return
  }
  checkKind(definition, existing)
  const { ack_wait, max_ack_pending, max_deliver } = toConfig(definition)
  const { config } = existing
  if (
    config.ack_wait === ack_wait &&
    config.max_ack_pending === max_ack_pending &&
    config.max_deliver === max_deliver
  ) {
    return
  }
  await consumers.update(stream, durable, { ack_wait, max_ack_pending, max_deliver })
  client.logger.info({ stream, durable }, 'durable consumer updated')
}

/**
 * `max_deliver` has no limit on the server: it would stop delivering a message whose last attempt ended in a crash, and nobody
 * would hear of it again. The attempts are counted here instead, from what JetStream says with each delivery.
 */
function toConfig({ durable, filterSubject, ackWaitMs, maxAckPending }: DurableDefinition) {
  return {
    durable_name: durable,
    ack_policy: 'explicit',
    deliver_policy: 'all',
    filter_subject: filterSubject,
    ack_wait: ackWaitMs * NANOS_PER_MS,
    max_ack_pending: maxAckPending,
    max_deliver: -1,
  } as const satisfies Partial<ConsumerConfig>
}

async function find(client: NatsClient, { stream, durable }: DurableDefinition): Promise<ConsumerInfo | undefined> {
  try {
    return await client.manager.consumers.info(stream, durable)
  } catch (error) {
    if (isConsumerNotFound(error)) return undefined
    throw error
  }
}

function checkFilter({ stream, durable, filterSubject }: DurableDefinition, info: StreamInfo): void {
  const { subjects } = info.config
  if (subjects.some((subject) => covers(subject, filterSubject))) return
  throw new StartupError(
    `consumer ${durable} filters ${filterSubject}, but stream ${stream} has the subjects ${subjects.join(', ')}: ` +
      `it would receive nothing; make them match`,
  )
}

function checkKind({ stream, durable, filterSubject }: DurableDefinition, { config }: ConsumerInfo): void {
  const found = [
    config.filter_subject === filterSubject
      ? ''
      : `filter ${config.filter_subject ?? 'none'} (expected ${filterSubject})`,
    config.ack_policy === 'explicit' ? '' : `acknowledgement ${config.ack_policy} (expected explicit)`,
    config.deliver_subject === undefined ? '' : `pushed to ${config.deliver_subject} (expected pull)`,
  ].filter((difference) => difference !== '')
  if (found.length === 0) return
  throw new StartupError(
    `consumer ${durable} exists on stream ${stream} with ${found.join(', ')}; delete it or choose another name`,
  )
}
