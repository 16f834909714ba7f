import { Admission } from '../../../services/analytics/surplus/admission.ts'
import { createRawHandler, type RawConsumerParts } from '../../../services/analytics/raw-consumer.ts'
import {
  RawEnvelopeProcessor,
  type RawEnvelopeProcessorParts,
} from '../../../services/analytics/raw-envelope-processor.ts'
import { SurplusDrain } from '../../../services/analytics/surplus/surplus-drain.ts'
import { SurplusWriter } from '../../../services/analytics/surplus/surplus-writer.ts'
import { BundleQueue } from '../../../src/nats/bundle-queue.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { runConsumer } from '../../../src/nats/consumer/consumer.ts'
import type { ConsumerOptions } from '../../../src/nats/consumer/consumer-options.ts'
import { DeadLetterQuota } from '../../../src/nats/dead-letter-quota.ts'
import { DeferredMessages } from '../../../src/nats/deferred-messages.ts'
import type { Producer } from '../../../src/nats/publisher/producer.ts'
import { decodeBundle, encodeBundle } from '../../../src/proto/bundle.ts'
import { probeLog } from '../adapters/nats-client.ts'
import { celCodec } from '../adapters/cel-codec.ts'

const RAW = 'raw_envelopes'

export interface RawRigOptions {
  readonly client: NatsClient
  readonly producer: Producer
  readonly evaluate: RawEnvelopeProcessorParts['evaluate']
  /** The organization of a device; by default "organization" for all. The expression of a device is its id. */
  readonly organizationOf?: (deviceId: string) => string
  readonly consumer?: Partial<ConsumerOptions>
}

/** Creates the parts of analytics that process raw envelopes, with an evaluation of the test and no ClickHouse. */
export function rawRig({
  client,
  producer,
  evaluate,
  organizationOf = () => 'organization',
  consumer = {},
}: RawRigOptions) {
  const { logger, ...log } = probeLog()
  /** The sizes of the data that were released. */
  const released: number[] = []
  const release = (dataBytes: number): void => void released.push(dataBytes)
  const processor = new RawEnvelopeProcessor({
    lookUp: async (id) => ({ kind: 'known', organizationId: organizationOf(id), codec: celCodec(id) }),
    evaluate,
    release,
    now: () => 1n,
    onDeviceWithoutExpression: () => {},
  })
  const admission = new Admission({
    limits: { items: 1000, bytes: 64 * 1024 * 1024 },
    wasShared: true,
    now: () => performance.now(),
  })
  const queue = new BundleQueue(client, {
    stream: 'surplus_envelopes',
    prefix: 'surplus_envelopes',
    encode: encodeBundle,
    decode: decodeBundle,
  })
  const surplus = new SurplusWriter({ queue, onStored: (organizationId) => drain.add(organizationId) })
  const parts: RawConsumerParts = {
    processor,
    release,
    producer,
    rawStream: RAW,
    lastSeen: { record: () => {} },
    deferred: new DeferredMessages(client, 'deferred_envelopes'),
    onDeferred: () => {},
    admission,
    surplus,
  }
  const drain = new SurplusDrain({ ...parts, queue, deadLetterQuota: new DeadLetterQuota(0, logger), logger })
  const options: ConsumerOptions = {
    client,
    service: 'test',
    stream: RAW,
    durable: 'analytics-raw',
    filterSubject: 'raw_envelopes.>',
    batchSize: 100,
    maxAckPending: 20_000,
    batchWaitMs: 1,
    retryDelayMs: 10,
    handle: createRawHandler(parts),
    ...consumer,
  }
  return {
    parts,
    log,
    released,
    /** Starts the consumer of raw envelopes and the processing of the surplus. */
    start() {
      const stopping = new AbortController()
      const running = Promise.all([runConsumer(options, stopping.signal), drain.run(stopping.signal)])
      return {
        stop: async (): Promise<void> => {
          stopping.abort()
          await running
        },
      }
    },
  }
}
