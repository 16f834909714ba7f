import { register } from 'prom-client'
import { expect, inject, vi } from 'vitest'
import type { ConsumerOptions } from '../../../src/nats/consumer/consumer-options.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { runConsumer } from '../../../src/nats/consumer/consumer.ts'
import type { Delivery, MessageResult } from '../../../src/nats/delivery.ts'
import { createProducer } from '../../../src/nats/publisher/producer.ts'
import { ensureStreams, type StreamDefinition } from '../../../src/nats/streams.ts'
import { connectTo, ownStream, probeLog, type LogProbe } from './nats-client.ts'

/** The result of a handled message. */
export const ACK: MessageResult = { kind: 'ack' }
const DEAD_LETTERS: StreamDefinition = { name: 'dead_letters', subjects: ['dead_letters.>'] }
/** The default durable consumer of `consume`. */
export const DURABLE = 'worker'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A client with its log and a stream for one test. */
export interface Scene extends AsyncDisposable {
  readonly client: NatsClient
  readonly log: LogProbe
  readonly stream: string
  readonly subject: string
  publish(...bodies: readonly string[]): Promise<void>
  /** Runs a consumer of the stream; `stop` resolves when it has stopped. */
  consume(
    handle: ConsumerOptions['handle'],
    options?: Partial<ConsumerOptions>,
  ): { stop(): Promise<void>; readonly ended: Promise<void> }
}

/** Connects to NATS and creates a unique stream, with these limits, and the dead letters stream. */
export async function scene(
  url: string = inject('nats').url,
  limits: Pick<StreamDefinition, 'maxAgeMs' | 'maxBytes' | 'isWorkQueue'> = {},
): Promise<Scene> {
  const log = probeLog()
  const client = await connectTo(url, log.logger)
  const definition = { ...ownStream(), ...limits }
  await ensureStreams(client, [definition, DEAD_LETTERS])
  const producer = createProducer(client)
  const { name: stream, subject } = definition
  let number = 0
  return {
    client,
    log,
    stream,
    subject,
    async publish(...bodies) {
      await Promise.all(
        bodies.map((body) =>
          producer.publish({ subject: `${subject}.a`, body: encoder.encode(body), messageId: `${stream}-${number++}` }),
        ),
      )
    },
    consume(handle, options = {}) {
      const abort = new AbortController()
      const ended = runConsumer(
        {
          client,
          service: 'test',
          stream,
          durable: DURABLE,
          filterSubject: `${subject}.>`,
          batchSize: 10,
          batchWaitMs: 10,
          retryDelayMs: 20,
          handle,
          ...options,
        },
        abort.signal,
      )
      return {
        ended,
        stop() {
          abort.abort()
          return ended
        },
      }
    },
    [Symbol.asyncDispose]: () => client.drain(),
  }
}

/** Returns the body of a delivery as text. */
export function text(delivery: Delivery): string {
  return decoder.decode(delivery.body)
}

/** Returns the integers from `from` to `to - 1` as strings. */
export function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

/** Returns a promise and its resolver. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** Returns a handler that acknowledges and records all messages; `all` resolves after `wanted` different bodies. */
export function recorder(wanted: number) {
  const seen: string[] = []
  const batches: string[][] = []
  const done = deferred()
  const handle = async (batch: readonly Delivery[]): Promise<readonly MessageResult[]> => {
    batches.push(batch.map(text))
    seen.push(...batch.map(text))
    if (new Set(seen).size >= wanted) done.resolve()
    return batch.map(() => ACK)
  }
  return { seen, batches, all: done.promise, handle }
}

/** Returns the newest dead letter of the scene's stream and their count; empty if there is none. */
export async function deadLettersOf({ client, stream }: Scene) {
  const { state } = await client.manager.streams.info('dead_letters', { subjects_filter: `dead_letters.${stream}` })
  const count = state.subjects?.[`dead_letters.${stream}`] ?? 0
  if (count === 0) return []
  const last = await client.manager.streams.getMessage('dead_letters', { last_by_subj: `dead_letters.${stream}` })
  return last === null ? [] : [{ count, body: last.string(), header: (name: string) => last.header.get(name) }]
}

/** Resolves when the scene's consumer has no pending and no unacknowledged message. */
export async function untilSettled({ client, stream }: Scene): Promise<void> {
  await vi.waitFor(
    async () => {
      const info = await client.manager.consumers.info(stream, DURABLE)
      expect({ unanswered: info.num_ack_pending, waiting: info.num_pending }).toEqual({ unanswered: 0, waiting: 0 })
    },
    { timeout: 20_000, interval: 20 },
  )
}

/** Returns the value of a metric with these labels in prom-client's default registry; undefined if it has none. */
export async function metricOf(name: string, labels: Readonly<Record<string, string>>): Promise<number | undefined> {
  const values = (await register.getSingleMetric(name)?.get())?.values ?? []
  return values.find((value) => Object.entries(labels).every(([label, text]) => value.labels[label] === text))?.value
}
