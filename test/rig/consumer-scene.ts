import { expect, inject, vi } from 'vitest'
import type { NatsClient } from '../../src/nats/connection.ts'
import { runConsumer } from '../../src/nats/consumer.ts'
import type { ConsumerOptions, Delivery, Verdict } from '../../src/nats/consumer.ts'
import { createProducer } from '../../src/nats/producer.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import type { StreamDefinition } from '../../src/nats/streams.ts'
import { connectTo, ownStream, probeLog } from './nats-client.ts'
import type { LogProbe } from './nats-client.ts'

/** The verdict that a message is done with. */
export const ACK: Verdict = { kind: 'ack' }
const DEAD_LETTERS: StreamDefinition = { name: 'dead_letters', subjects: ['dead_letters.>'] }
/** The durable consumer that `consume` runs unless it is told another. */
export const DURABLE = 'worker'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A client with its log, and a stream that no other test has. */
export interface Scene extends AsyncDisposable {
  readonly client: NatsClient
  readonly log: LogProbe
  readonly stream: string
  readonly subject: string
  publish(...bodies: readonly string[]): Promise<void>
  /** Runs a consumer of the stream; `stop` tells it to stop and resolves when it has. */
  consume(
    handle: ConsumerOptions['handle'],
    options?: Partial<ConsumerOptions>,
  ): { stop(): Promise<void>; readonly ended: Promise<void> }
}

/** Connects to a NATS and makes a stream of its own there, and the one of the dead letters. */
export async function scene(url: string = inject('nats').url): Promise<Scene> {
  const log = probeLog()
  const client = await connectTo(url, log.logger)
  const definition = ownStream()
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

/** The body of a delivery as text. */
export function text(delivery: Delivery): string {
  return decoder.decode(delivery.body)
}

/** The whole numbers from the first to before the last, as texts. */
export function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

/** A promise and what settles it. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** A handler that acknowledges all, remembers it, and tells when a number of different bodies has come. */
export function recorder(wanted: number) {
  const seen: string[] = []
  const batches: string[][] = []
  const done = deferred()
  const handle = async (batch: readonly Delivery[]): Promise<readonly Verdict[]> => {
    batches.push(batch.map(text))
    seen.push(...batch.map(text))
    if (new Set(seen).size >= wanted) done.resolve()
    return batch.map(() => ACK)
  }
  return { seen, batches, all: done.promise, handle }
}

/** The newest dead letter of the stream of a scene and how many there are; nothing if there is none. */
export async function deadLettersOf({ client, stream }: Scene) {
  const { state } = await client.manager.streams.info('dead_letters', { subjects_filter: `dead_letters.${stream}` })
  const count = state.subjects?.[`dead_letters.${stream}`] ?? 0
  if (count === 0) return []
  const last = await client.manager.streams.getMessage('dead_letters', { last_by_subj: `dead_letters.${stream}` })
  return last === null ? [] : [{ count, body: last.string(), header: (name: string) => last.header.get(name) }]
}

/** Resolves when the consumer of a scene has nothing that waits and nothing that is unanswered. */
export async function untilSettled({ client, stream }: Scene): Promise<void> {
  await vi.waitFor(
    async () => {
      const info = await client.manager.consumers.info(stream, DURABLE)
      expect({ unanswered: info.num_ack_pending, waiting: info.num_pending }).toEqual({ unanswered: 0, waiting: 0 })
    },
    { timeout: 20_000, interval: 20 },
  )
}
