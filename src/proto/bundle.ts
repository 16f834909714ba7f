import { MessageReader, tagOf, WIRE } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'

/*
 * A bundle is a message whose body is a list of messages of one stream, because JetStream stores a large message faster than many
 * small ones. It has the form of a protobuf message:
 *
 *   message Bundle { repeated Entry entries = 1; }
 *   message Entry  { string subject = 1; bytes body = 2; uint64 stream_sequence = 3; uint64 stored_at_ms = 4; repeated Header headers = 5; }
 *   message Header { string name = 1; string value = 2; }
 */

/** A message of a stream. */
export interface StreamMessage {
  readonly subject: string
  readonly body: Uint8Array
  readonly streamSequence: number
  /** In milliseconds since the epoch. */
  readonly storedAtMs: number
  headers(): Readonly<Record<string, string>>
}

/** A message of a bundle, as its stream had delivered it the first time. */
export interface BundledMessage extends StreamMessage {
  readonly attempt: 1
  header(name: string): string | undefined
}

const ENTRIES = 1
const FIELD = { subject: 1, body: 2, streamSequence: 3, storedAtMs: 4, headers: 5 } as const
const HEADER = { name: 1, value: 2 } as const

const TAG = {
  entry: tagOf(ENTRIES, WIRE.bytes),
  subject: tagOf(FIELD.subject, WIRE.bytes),
  body: tagOf(FIELD.body, WIRE.bytes),
  streamSequence: tagOf(FIELD.streamSequence, WIRE.varint),
  storedAtMs: tagOf(FIELD.storedAtMs, WIRE.varint),
  headers: tagOf(FIELD.headers, WIRE.bytes),
  name: tagOf(HEADER.name, WIRE.bytes),
  value: tagOf(HEADER.value, WIRE.bytes),
} as const

const writer = new MessageWriter()

export function encodeBundle(messages: readonly StreamMessage[]): Uint8Array {
  writer.begin()
  for (const message of messages) {
    const entry = writer.open(ENTRIES)
    writer.string(FIELD.subject, message.subject).bytes(FIELD.body, message.body)
    writer.uint(FIELD.streamSequence, message.streamSequence).uint(FIELD.storedAtMs, message.storedAtMs)
    for (const [name, value] of Object.entries(message.headers())) {
      const header = writer.open(FIELD.headers)
      writer.string(HEADER.name, name).string(HEADER.value, value).close(header)
    }
    writer.close(entry)
  }
  return writer.finish()
}

/** Throws a RangeError for invalid bytes. */
export function decodeBundle(bytes: Uint8Array): readonly BundledMessage[] {
  const messages: BundledMessage[] = []
  const reader = new MessageReader(bytes)
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG.entry) messages.push(readEntry(reader))
    else reader.skip(tag)
  }
  return messages
}

function readEntry(reader: MessageReader): BundledMessage {
  const end = reader.open()
  let [subject, streamSequence, storedAtMs] = ['', 0, 0]
  let body: Uint8Array = new Uint8Array()
  const headers = new Map<string, string>()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG.subject) subject = reader.string()
    else if (tag === TAG.body) body = reader.bytes()
    else if (tag === TAG.streamSequence) streamSequence = reader.varint()
    else if (tag === TAG.storedAtMs) storedAtMs = reader.varint()
    else if (tag === TAG.headers) readHeader(reader, headers)
    else reader.skip(tag)
  }
  reader.close(end)
  const header = (name: string): string | undefined => headers.get(name)
  return { subject, body, streamSequence, storedAtMs, attempt: 1, header, headers: () => Object.fromEntries(headers) }
}

function readHeader(reader: MessageReader, headers: Map<string, string>): void {
  const end = reader.open()
  let [name, value] = ['', '']
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG.name) name = reader.string()
    else if (tag === TAG.value) value = reader.string()
    else reader.skip(tag)
  }
  reader.close(end)
  headers.set(name, value)
}
