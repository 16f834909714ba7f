import { connect } from 'node:net'
import type { PoolClient } from 'pg'
import { unavailable } from './errors.ts'

export interface CancellationOptions {
  readonly client: PoolClient
  readonly host: string
  readonly port: number
  readonly signal: AbortSignal | undefined
  /** A server that has not answered after this time is treated as unreachable. */
  readonly timeoutMs: number
}

/** The time for a statement to end after the server received the cancel request. */
const GRACE_MS = 1000
const CANCEL_REQUEST = 80_877_102
const CANCEL_TIMEOUT_MS = 1000

/**
 * Cancels the statement of one connection if its caller aborts or the server does not answer in time: sends a cancel request,
 * and closes the connection if the request has no effect.
 */
export class QueryCancellation {
  /** The error for the caller: the signal's reason or `unavailable`; undefined if nothing was cancelled. */
  reason: unknown
  /** True if the connection was closed to end the statement. */
  connectionClosed = false
  readonly #options: CancellationOptions
  readonly #timer: NodeJS.Timeout
  #grace: NodeJS.Timeout | undefined
  #cancelling: Promise<void> | undefined
  #finished = false

  constructor(options: CancellationOptions) {
    this.#options = options
    const onTimeout = (): void => this.#start(unavailable(new Error('the server did not answer in time')))
    this.#timer = setTimeout(onTimeout, options.timeoutMs)
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted === true) this.#onAbort()
  }

  /** Ends the watch. Await it before reusing the connection: a cancel request in transit would cancel the next statement. */
  async finish(): Promise<void> {
    this.#finished = true
    clearTimeout(this.#timer)
    clearTimeout(this.#grace)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    await this.#cancelling
  }

  readonly #onAbort = (): void => this.#start(this.#options.signal?.reason)

  #start(reason: unknown): void {
    if (this.#cancelling !== undefined) return
    this.reason = reason
    this.#cancelling = this.#cancel()
  }

  async #cancel(): Promise<void> {
    const { client, host, port } = this.#options
    // pg keeps the backend key in fields that its types do not declare.
    const { processID, secretKey } = { processID: undefined, secretKey: undefined, ...client }
    if (typeof processID === 'number' && typeof secretKey === 'number') {
      await sendCancelRequest(host, port, processID, secretKey)
    }
    if (this.#finished) return
    this.#grace = setTimeout(() => {
      this.connectionClosed = true
      // While a statement runs this closes the socket immediately, and the statement rejects.
      void client.end()
    }, GRACE_MS)
  }
}

/**
 * Sends a CancelRequest on a separate connection, which needs no free slot. Resolves when the server has processed it (from
 * then on it cannot cancel a later statement), or after a second; never rejects.
 */
function sendCancelRequest(host: string, port: number, processId: number, secretKey: number): Promise<void> {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(CANCEL_REQUEST, 4)
  request.writeInt32BE(processId, 8)
  request.writeInt32BE(secretKey, 12)
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write(request))
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve())
    socket.resume()
  })
}
