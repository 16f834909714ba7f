import { escapeIdentifier, escapeLiteral, type Client, type Connection, type Submittable } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { replicationErrorFrom } from '../errors.ts'
import { formatLsn, type Lsn } from './change.ts'

export interface StartReplication {
  readonly slot: string
  readonly publication: string
  /** The server starts here or where the slot stands, whichever is later. */
  readonly from: Lsn
  /** Whether logical messages are wanted: PostgreSQL 14 and later. */
  readonly messages: boolean
  /** Called for each frame, in order, also shortly after `pause`. What it throws ends the stream. */
  readonly onFrame: (frame: Frame) => void
}

/**
 * The places in PostgreSQL that tell of a missing publication, whatever the language: up to version 17 it is an error, since
 * then a warning, and its changes are left out.
 */
const PUBLICATION_ROUTINES: ReadonlySet<unknown> = new Set(['get_publication_oid', 'LoadPublications'])

/** Switches a connection for replication to a stream of changes. Throws a ReplicationError. */
export async function startStream(client: Client, request: StartReplication): Promise<ReplicationStream> {
  const publications = escapeLiteral(escapeIdentifier(request.publication))
  const text =
    `START_REPLICATION SLOT ${escapeIdentifier(request.slot)} LOGICAL ${formatLsn(request.from)}` +
    ` (proto_version '1', publication_names ${publications}${request.messages ? ", messages 'true'" : ''})`
  const query = new CopyBoth(text, request)
  client.on('notice', (notice) => {
    if (tellsOfMissingPublication(notice)) query.fail(publicationMissing(request, notice))
  })
  try {
    client.connection.once('replicationStart', query.handleStart)
    client.query(query)
    await query.started
  } catch (error) {
    throw replicationErrorFrom(error, `stream from the replication slot ${request.slot}`)
  } finally {
    client.connection.off('replicationStart', query.handleStart)
  }
  return new ReplicationStream(copyChannel(client.connection), query)
}

/** A running stream of changes. */
export class ReplicationStream {
  /** Rejects with a ReplicationError when the stream breaks; resolves when the server has ended it. */
  readonly ended: Promise<void>
  readonly #channel: CopyChannel
  readonly #query: CopyBoth

  constructor(channel: CopyChannel, query: CopyBoth) {
    this.#channel = channel
    this.#query = query
    this.ended = query.ended.catch((error: unknown) => {
      throw replicationErrorFrom(error, 'go on streaming changes')
    })
    this.ended.catch(() => undefined)
  }

  /** Tells the server that everything up to `confirmed` is stored; with `replyRequested` it answers with a keepalive. */
  confirm(confirmed: Lsn, replyRequested = false): void {
    this.#channel.sendCopyFromChunk(writeStatus(confirmed, replyRequested, Date.now()))
  }

  /** Stops reading from the socket, so that PostgreSQL waits. Frames that were read already are still delivered. */
  pause(): void {
    this.#channel.stream.pause()
  }

  resume(): void {
    this.#channel.stream.resume()
  }

  /**
   * Ends the stream: a last confirmation, then the copy's end from both sides, which shows that the server has taken the
   * confirmation. What the server still sends is dropped. Resolves to false when it did not answer in time.
   */
  async finish(confirmed: Lsn, timeoutMs: number): Promise<boolean> {
    this.#query.dropFrames()
    this.resume()
    this.confirm(confirmed)
    const done = new Promise<boolean>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs, false)
      const settle = (answered: boolean) => () => {
        clearTimeout(timer)
        resolve(answered)
      }
      this.#channel.once('copyDone', settle(true))
      this.ended.then(settle(true), settle(false))
    })
    this.#channel.endCopyFrom()
    return done
  }
}

/** What pg's connection can do besides what its types say. */
interface CopyChannel extends Connection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

function copyChannel(connection: Connection): CopyChannel {
  if (!isCopyChannel(connection)) throw new Error('this version of pg has no copy-both mode')
  return connection
}

function isCopyChannel(connection: Connection): connection is CopyChannel {
  return 'sendCopyFromChunk' in connection && 'endCopyFrom' in connection
}

/** The query that switches the connection to copy-both mode; pg calls its `handle…` methods. */
class CopyBoth implements Submittable {
  readonly started: Promise<void>
  readonly ended: Promise<void>
  readonly handleStart: () => void
  readonly #text: string
  readonly #request: StartReplication
  #onFrame: (frame: Frame) => void
  #end: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined

  constructor(text: string, request: StartReplication) {
    this.#text = text
    this.#request = request
    this.#onFrame = request.onFrame
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
    let start: () => void = () => undefined
    const began = new Promise<void>((resolve) => (start = resolve))
    this.handleStart = start
    this.started = Promise.race([began, this.ended])
    this.started.catch(() => undefined)
  }

  dropFrames(): void {
    this.#onFrame = () => undefined
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }, connection: Connection): void {
    try {
      this.#onFrame(readFrame(chunk))
    } catch (error) {
      this.fail(error)
      connection.stream.destroy()
    }
  }

  /** From here on nothing more is handed over. */
  fail(error: unknown): void {
    this.dropFrames()
    this.#fail(error)
  }

  handleError(error: unknown): void {
    this.fail(tellsOfMissingPublication(error) ? publicationMissing(this.#request, error) : error)
  }

  handleCommandComplete(): void {
    // The copy's result; ReadyForQuery follows and ends the query.
  }

  handleReadyForQuery(): void {
    this.#end()
  }
}

function tellsOfMissingPublication(message: unknown): boolean {
  return (
    typeof message === 'object' && message !== null && 'routine' in message && PUBLICATION_ROUTINES.has(message.routine)
  )
}

/** The server reads the catalogue as it was where the slot stands: creating the publication now does not help. */
function publicationMissing({ slot, publication }: StartReplication, cause: unknown): ReplicationError {
  const drop = `SELECT pg_drop_replication_slot(${escapeLiteral(slot)})`
  const forget = `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS NULL`
  return new ReplicationError(
    'publication',
    `the publication ${publication} did not exist when the next changes in the replication slot ${slot} were made; they ` +
      `cannot become events. To accept that and go on from now, create it and run: ${drop}; ${forget}`,
    { cause },
  )
}

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
