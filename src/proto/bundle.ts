import { MessageReader, tagOf, WIRE } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'

/*
 * A bundle is a message whose body is a list of messages of one stream, because JetStream stores a large message faster than many
 * small ones. It has the form of a protobuf message:
 *
 *   message Bundle { repeated Entry entries = 1; }
 *   message Entry  { string subject = 1; bytes body = 2; uint64 stream_sequence = 3; uint64 stored_at_ms = 4; bytes headers = 5; }
 */

/** A message of a stream. */
export interface StreamMessage {
  readonly subject: string
  readonly body: Uint8Array
  readonly streamSequence: number
  /** In milliseconds since the epoch. */
  readonly storedAtMs: number
  /** The headers as NATS sends them, because decoding them would dominate the cost of a bundle. */
  readonly headerBlock: Uint8Array
}

const ENTRIES = 1
const FIELD = { subject: 1, body: 2, streamSequence: 3, storedAtMs: 4, headerBlock: 5 } as const

const TAG = {
  entry: tagOf(ENTRIES, WIRE.bytes),
  subject: tagOf(FIELD.subject, WIRE.bytes),
  body: tagOf(FIELD.body, WIRE.bytes),
  streamSequence: tagOf(FIELD.streamSequence, WIRE.varint),
  storedAtMs: tagOf(FIELD.storedAtMs, WIRE.varint),
  headerBlock: tagOf(FIELD.headerBlock, WIRE.bytes),
} as const

const NO_BYTES = new Uint8Array()
const writer = new MessageWriter()

export function encodeBundle(messages: readonly StreamMessage[]): Uint8Array {
  writer.begin()
  for (const message of messages) {
    const entry = writer.open(ENTRIES)
    writer.string(FIELD.subject, message.subject).bytes(FIELD.body, message.body)
    writer.uint(FIELD.streamSequence, message.streamSequence).uint(FIELD.storedAtMs, message.storedAtMs)
    writer.bytes(FIELD.headerBlock, message.headerBlock).close(entry)
  }
  return writer.finish()
}

/** Throws a RangeError for invalid bytes. */
export function decodeBundle(bytes: Uint8Array): readonly StreamMessage[] {
  const messages: StreamMessage[] = []
  const reader = new MessageReader(bytes)
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG.entry) messages.push(readEntry(reader))
    else reader.skip(tag)
  }
  return messages
}

function readEntry(reader: MessageReader): StreamMessage {
  const end = reader.open()
  let [subject, streamSequence, storedAtMs] = ['', 0, 0]
  let body: Uint8Array = NO_BYTES
  let headerBlock: Uint8Array = NO_BYTES
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG.subject) subject = reader.string()
    else if (tag === TAG.body) body = reader.bytes()
    else if (tag === TAG.streamSequence) streamSequence = reader.varint()
    else if (tag === TAG.storedAtMs) storedAtMs = reader.varint()
    else if (tag === TAG.headerBlock) headerBlock = reader.bytes()
    else reader.skip(tag)
  }
  reader.close(end)
  return { subject, body, streamSequence, storedAtMs, headerBlock }
}
