import { escapeIdentifier, escapeLiteral, type Client, type Connection, type Submittable } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { replicationErrorFrom } from '../errors.ts'
import { formatLsn, type Lsn } from './change.ts'

export interface StartReplication {
  readonly slot: string
  readonly publication: string
  /** The start position; the server starts at the later of this and the slot's position. */
  readonly from: Lsn
  /** Whether to request logical messages (PostgreSQL 14 and later). */
  readonly messages: boolean
  /** Called for each frame, in order. Frames can still arrive shortly after `pause`. If it throws, the stream ends with that error. */
  readonly onFrame: (frame: Frame) => void
}

/** A message from the server in copy-both mode. */
export type Frame =
  | { readonly kind: 'data'; readonly payload: Buffer }
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn; readonly replyRequested: boolean }

/** The routines in PostgreSQL that report a missing publication: as an error up to version 17, as a warning in later versions. */
const PUBLICATION_ROUTINES: ReadonlySet<unknown> = new Set(['get_publication_oid', 'LoadPublications'])

/** Switches a replication connection to a stream of changes. Throws a ReplicationError. */
export async function startStream(client: Client, request: StartReplication): Promise<ReplicationStream> {
  const { connection } = client
  if (!isCopyChannel(connection))
    throw new Error('the npm package pg does not support copy-both mode; install the version in package-lock.json')
  const stream = new ReplicationStream(connection, request)
  let onStart = (): void => undefined
  const started = new Promise<void>((resolve) => (onStart = resolve))
  const onNotice = (notice: unknown): void => {
    if (reportsMissingPublication(notice)) stream.handleError(notice)
  }
  connection.once('replicationStart', onStart)
  client.on('notice', onNotice)
  try {
    client.query(stream)
    await Promise.race([started, stream.ended])
    return stream
  } catch (error) {
    // A standby starts again on the same connection.
    client.off('notice', onNotice)
    throw replicationErrorFrom(error, `stream from the replication slot ${request.slot}`)
  } finally {
    connection.off('replicationStart', onStart)
  }
}

/** A running stream of changes. For pg it is a query in copy-both mode, whose `handle…` methods pg calls. */
export class ReplicationStream implements Submittable {
  /** Rejects with a ReplicationError if the stream breaks; resolves when the server has ended it. */
  readonly ended: Promise<void>
  readonly #channel: CopyChannel
  readonly #request: StartReplication
  #onFrame: (frame: Frame) => void
  #end: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined

  constructor(channel: CopyChannel, request: StartReplication) {
    this.#channel = channel
    this.#request = request
    this.#onFrame = request.onFrame
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
    this.ended.catch(() => undefined)
  }

  /** Reports that everything up to `confirmed` is stored; with `replyRequested` the server replies with a keepalive. */
  confirm(confirmed: Lsn, replyRequested = false): void {
    this.#channel.sendCopyFromChunk(writeStatus(confirmed, replyRequested, Date.now()))
  }

  /** Stops reading from the socket, so that PostgreSQL waits. Frames already read are still delivered. */
  pause(): void {
    this.#channel.stream.pause()
  }

  resume(): void {
    this.#channel.stream.resume()
  }

  /**
   * Ends the stream: sends a last confirmation and the end of the copy. The server's own end of the copy, awaited for up to
   * `timeoutMs`, proves that it has processed the confirmation. Further frames are dropped.
   */
  async finish(confirmed: Lsn, timeoutMs: number): Promise<void> {
    this.#dropFrames()
    this.resume()
    this.confirm(confirmed)
    const done = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      const settle = (): void => {
        clearTimeout(timer)
        resolve()
      }
      this.#channel.once('copyDone', settle)
      this.ended.then(settle, settle)
    })
    this.#channel.endCopyFrom()
    await done
  }

  submit(connection: Connection): void {
    const { slot, publication, from, messages } = this.#request
    const publications = escapeLiteral(escapeIdentifier(publication))
    connection.query(
      `START_REPLICATION SLOT ${escapeIdentifier(slot)} LOGICAL ${formatLsn(from)}` +
        ` (proto_version '1', publication_names ${publications}${messages ? ", messages 'true'" : ''})`,
    )
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }, connection: Connection): void {
    try {
      this.#onFrame(readFrame(chunk))
    } catch (error) {
      this.handleError(error)
      connection.stream.destroy()
    }
  }

  /** Fails the stream; no further frame is delivered. */
  handleError(error: unknown): void {
    this.#dropFrames()
    const cause = reportsMissingPublication(error) ? publicationMissing(this.#request, error) : error
    this.#fail(replicationErrorFrom(cause, `stream from the replication slot ${this.#request.slot}`))
  }

  handleCommandComplete(): void {
    // Only ends the copy: the following ReadyForQuery ends the query.
  }

  handleReadyForQuery(): void {
    this.#end()
  }

  #dropFrames(): void {
    this.#onFrame = () => undefined
  }
}

/** Methods of pg's connection that its types do not declare. */
interface CopyChannel extends Connection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

function isCopyChannel(connection: Connection): connection is CopyChannel {
  return 'sendCopyFromChunk' in connection && 'endCopyFrom' in connection
}

function reportsMissingPublication(message: unknown): boolean {
  return (
    typeof message === 'object' && message !== null && 'routine' in message && PUBLICATION_ROUTINES.has(message.routine)
  )
}

/** Returns the error. The server reads the catalog as of the slot's position: creating the publication now does not help. */
function publicationMissing({ slot, publication }: StartReplication, cause: unknown): ReplicationError {
  return new ReplicationError(
    'publication',
    `the publication ${publication} did not exist when the next changes in the replication slot ${slot} were made; they ` +
      `cannot become events. To skip them and continue from now, run ponix-cdc forget`,
    { cause },
  )
}

const DATA = 0x77
const KEEPALIVE = 0x6b
const STATUS = 0x72
const DATA_HEADER = 25
const KEEPALIVE_LENGTH = 18
const STATUS_LENGTH = 34
/** Microseconds from 1970 to 2000, PostgreSQL's epoch. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n

/** Parses a message of copy-both mode. Throws a ReplicationError `protocol` for an unknown message. */
export function readFrame(chunk: Buffer): Frame {
  const kind = chunk[0]
  if (kind === DATA && chunk.length >= DATA_HEADER) return { kind: 'data', payload: chunk.subarray(DATA_HEADER) }
  if (kind === KEEPALIVE && chunk.length >= KEEPALIVE_LENGTH) {
    return { kind: 'keepalive', walEnd: chunk.readBigUInt64BE(1), replyRequested: chunk[17] === 1 }
  }
  const message = `PostgreSQL sent an unknown replication frame of kind ${kind} with ${chunk.length} bytes`
  throw new ReplicationError('protocol', message)
}

/** Encodes a status update. The written, flushed and applied positions are equal, because only durable storage counts. */
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
