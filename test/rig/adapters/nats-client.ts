import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { connectNats, type NatsClient } from '../../../src/nats/connection.ts'
import type { OrderedPublisher } from '../../../src/nats/publisher/producer.ts'
import type { Stored } from '../../../src/nats/publisher/publication.ts'
import { streamsOf, type StreamDefinition } from '../../../src/nats/streams.ts'
import { createLoggerTo, type Logger } from '../../../src/runner/logger.ts'

/** A parsed log line. */
export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** A logger whose lines a test can read and await. */
export interface LogProbe {
  readonly logger: Logger
  readonly lines: readonly LogLine[]
  /** Resolves with the first (or `nth`) past or future line whose message contains the text. */
  line(text: string, nth?: number): Promise<LogLine>
  count(text: string): number
}

export function probeLog(): LogProbe {
  const lines: LogLine[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const parsed: LogLine = JSON.parse(chunk.toString('utf8'))
      lines.push(parsed)
      sink.emit('line')
      done()
    },
  })
  sink.setMaxListeners(0)
  return {
    logger: createLoggerTo(sink, 'test', 'debug'),
    lines,
    async line(text, nth = 1) {
      for (;;) {
        const found = lines.filter((line) => line.msg.includes(text))[nth - 1]
        if (found !== undefined) return found
        await once(sink, 'line')
      }
    },
    count: (text) => lines.filter((line) => line.msg.includes(text)).length,
  }
}

export async function connectTo(
  url: string,
  logger: Logger = probeLog().logger,
  startupTimeoutMs = 10_000,
): Promise<NatsClient> {
  return await connectNats({ url, name: 'test', startupTimeoutMs, logger })
}

/** The default names and limits of streams, without limits of age and size of those that keep all messages. */
export const STREAM_ENVIRONMENT = {
  PONIX_NATS_RAW_STREAM: 'raw_envelopes',
  PONIX_PROCESSED_ENVELOPES_STREAM: 'processed_envelopes',
  PONIX_NATS_GATEWAY_STREAM: 'gateways',
  PONIX_NATS_DEFERRED_STREAM: 'deferred_envelopes',
  PONIX_NATS_DEFERRED_MAX_BYTES: 500_000_000,
  PONIX_NATS_DEFERRED_MAX_PER_ORGANIZATION: 10_000,
  PONIX_NATS_SURPLUS_STREAM: 'surplus_envelopes',
  PONIX_NATS_SURPLUS_MAX_BYTES: 1_000_000_000,
  PONIX_NATS_SURPLUS_MAX_PER_ORGANIZATION: 8192,
  PONIX_NATS_STREAM_MAX_AGE_MS: 0,
  PONIX_NATS_STREAM_MAX_BYTES: 0,
  PONIX_NATS_DUPLICATE_WINDOW_MS: 120_000,
}

/** The streams of the platform. */
export const PLATFORM_STREAMS = streamsOf(STREAM_ENVIRONMENT)

/** Returns a stream and subject prefix unique to one test. */
export function ownStream(): StreamDefinition & { readonly subject: string } {
  const name = `t${randomUUID().replaceAll('-', '')}`
  return { name, subject: name, subjects: [`${name}.>`] }
}

const encoder = new TextEncoder()

/** Returns the bodies of a stream's messages in stream order. */
export async function bodiesOf(client: NatsClient, stream: string): Promise<string[]> {
  const { state } = await client.manager.streams.info(stream)
  const bodies: string[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await client.manager.streams.getMessage(stream, { seq })
    if (message !== null) bodies.push(message.string())
  }
  return bodies
}

export function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

export function publishAll(publisher: OrderedPublisher, subject: string, bodies: readonly string[]): Promise<Stored>[] {
  return bodies.map((body) => publisher.publish({ subject, body: encoder.encode(body), messageId: `m${body}` }))
}

/** Returns a fake stream: replies to each message on the subject with the result of `answer`; undefined sends no reply. */
export function scriptedStream(
  client: NatsClient,
  subject: string,
  answer: (body: string, arrival: number) => string | undefined,
) {
  const arrived: string[] = []
  client.connection.subscribe(subject, {
    callback: (_error, message) => {
      arrived.push(message.string())
      const reply = answer(message.string(), arrived.length)
      if (reply !== undefined) message.respond(reply)
    },
  })
  return arrived
}

/** The reply to a stored message. */
export const ACK = JSON.stringify({ stream: 'scripted', seq: 1 })
