const EMPTY = Buffer.alloc(0)
/** The bytes that are kept of a packet that is too large: fixed header, topic, packet id, and the length of its properties. */
const KEPT_BYTES = 5 + 2 + 65_535 + 2 + 4
const MAX_LENGTH_BYTES = 4

export interface FrameHandlers {
  /** The largest packet that is buffered. */
  readonly maxBytes: () => number
  /** Called with each whole packet. */
  readonly onFrame: (frame: Buffer) => void
  /** Called with the beginning of a packet that is larger, and its size, when its last byte has arrived. */
  readonly onOversized: (head: Buffer, bytes: number) => void
}

/** A packet of which not all bytes have arrived. */
interface PartialFrame {
  readonly bytes: number
  readonly isOversized: boolean
  readonly parts: Buffer[]
  kept: number
  missing: number
}

/**
 * Splits the bytes of a connection into packets by their remaining length (MQTT 5, 2.1.4). A packet can announce 256 MB: of one that
 * is larger than the limit only the beginning is kept, the other bytes are dropped as they arrive.
 */
export class FrameReader {
  readonly #handlers: FrameHandlers
  /** Bytes that are not read yet: those after a pause, or an incomplete fixed header. */
  #rest: Buffer = EMPTY
  #partial: PartialFrame | undefined
  #paused = false

  constructor(handlers: FrameHandlers) {
    this.#handlers = handlers
  }

  /** Throws if the length of a packet is malformed. */
  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#read()
  }

  /** Calls no handler until `resume`, also not for packets that have arrived. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#read()
  }

  #read(): void {
    while (!this.#paused && this.#rest.length > 0) {
      if (this.#partial === undefined && !this.#begin()) return
      if (this.#partial !== undefined) this.#continue(this.#partial)
    }
  }

  /** Reads a whole packet, or begins a partial one. Returns whether the fixed header was complete. */
  #begin(): boolean {
    const bytes = frameBytes(this.#rest)
    if (bytes === undefined) return false
    const isOversized = bytes > this.#handlers.maxBytes()
    if (isOversized || bytes > this.#rest.length) {
      this.#partial = { bytes, isOversized, parts: [], kept: 0, missing: bytes }
      return true
    }
    const frame = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    this.#handlers.onFrame(frame)
    return true
  }

  #continue(partial: PartialFrame): void {
    const taken = this.#rest.subarray(0, partial.missing)
    this.#rest = this.#rest.subarray(taken.length)
    partial.missing -= taken.length
    const kept = partial.isOversized ? taken.subarray(0, KEPT_BYTES - partial.kept) : taken
    // A copy of a few kilobytes does not keep the dropped bytes of its chunk.
    if (kept.length > 0) partial.parts.push(partial.isOversized ? Buffer.from(kept) : kept)
    partial.kept += kept.length
    if (partial.missing > 0) return
    this.#partial = undefined
    const frame = Buffer.concat(partial.parts)
    if (partial.isOversized) this.#handlers.onOversized(frame, partial.bytes)
    else this.#handlers.onFrame(frame)
  }
}

/** Returns the size of the packet that begins here; undefined if its fixed header is incomplete. */
function frameBytes(bytes: Buffer): number | undefined {
  let length = 0
  for (let index = 0; index < MAX_LENGTH_BYTES; index++) {
    const byte = bytes[1 + index]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * 128 ** index
    if (byte < 0x80) return 2 + index + length
  }
  throw new Error('malformed length of a packet')
}

/** Returns the topic, packet id and payload size of a PUBLISH, of which only the beginning is known. */
export function readPublishHead(head: Buffer, bytes: number, version: 4 | 5) {
  let offset = 1
  while ((head[offset++] ?? 0) >= 0x80);
  const topicBytes = head.readUInt16BE(offset)
  const topic = head.toString('utf8', offset + 2, offset + 2 + topicBytes)
  offset += 2 + topicBytes
  const flags = head[0] ?? 0
  const qos = (flags >> 1) & 3
  const packetId = qos > 0 ? head.readUInt16BE(offset) : undefined
  if (qos > 0) offset += 2
  if (version === 5) offset += propertiesBytes(head, offset)
  return {
    topic,
    packetId,
    dup: (flags & 8) !== 0,
    retain: (flags & 1) !== 0,
    payloadBytes: Math.max(0, bytes - offset),
  }
}

/** Returns the bytes of the properties that begin here, with their length. */
function propertiesBytes(head: Buffer, offset: number): number {
  const length = frameBytes(head.subarray(offset - 1))
  return length === undefined ? 0 : length - 1
}
