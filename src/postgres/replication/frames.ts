import { ReplicationError } from '../../domain/errors.ts'
import type { Lsn } from './lsn.ts'

/** What the server sends inside copy-both mode. */
export type Frame =
  | { readonly kind: 'data'; readonly payload: Buffer }
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn; readonly replyRequested: boolean }

const DATA = 0x77
const KEEPALIVE = 0x6b
const STATUS = 0x72
const DATA_HEADER = 25
const KEEPALIVE_LENGTH = 18
const STATUS_LENGTH = 34
/** Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n

/** Reads one copy-both message. Throws a ReplicationError `protocol` for anything else. */
export function readFrame(chunk: Buffer): Frame {
  const kind = chunk[0]
  if (kind === DATA && chunk.length >= DATA_HEADER) {
    return { kind: 'data', payload: chunk.subarray(DATA_HEADER) }
  }
  if (kind === KEEPALIVE && chunk.length >= KEEPALIVE_LENGTH) {
    return { kind: 'keepalive', walEnd: chunk.readBigUInt64BE(1), replyRequested: chunk[17] === 1 }
  }
  throw new ReplicationError(
    'protocol',
    `PostgreSQL sent a replication frame of kind ${kind}, ${chunk.length} bytes long`,
  )
}

/**
 * The status update: everything up to `confirmed` is stored durably. Written, flushed and applied are the same here, for
 * nothing counts before it is durable.
 */
export function writeStatus(confirmed: Lsn, replyRequested: boolean, nowMs: number): Buffer {
  const frame = Buffer.allocUnsafe(STATUS_LENGTH)
  frame[0] = STATUS
  frame.writeBigUInt64BE(confirmed, 1)
  frame.writeBigUInt64BE(confirmed, 9)
  frame.writeBigUInt64BE(confirmed, 17)
  frame.writeBigInt64BE(BigInt(nowMs) * 1000n - POSTGRES_EPOCH_MICROS, 25)
  frame[33] = replyRequested ? 1 : 0
  return frame
}
