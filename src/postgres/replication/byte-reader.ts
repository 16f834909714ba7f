import { ReplicationError } from '../../domain/errors.ts'

/** Reads a message from front to back; reading past its end is a ReplicationError `protocol`, never a short value. */
export class ByteReader {
  readonly buffer: Buffer
  /** Where the next read starts. */
  offset = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /** Moves on by `length` bytes; returns where they start. */
  take(length: number): number {
    const start = this.offset
    if (length < 0 || start + length > this.buffer.length) {
      throw new ReplicationError('protocol', `a pgoutput message ends at byte ${this.buffer.length}, too early`)
    }
    this.offset = start + length
    return start
  }

  uint8(): number {
    return this.buffer.readUInt8(this.take(1))
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  uint64(): bigint {
    return this.buffer.readBigUInt64BE(this.take(8))
  }

  int64(): bigint {
    return this.buffer.readBigInt64BE(this.take(8))
  }

  /** Text that ends with a zero byte. */
  text(): string {
    const end = this.buffer.indexOf(0, this.offset)
    if (end === -1) this.take(this.buffer.length + 1)
    const start = this.take(end - this.offset + 1)
    return this.buffer.toString('utf8', start, end)
  }
}
