import { connect } from 'node:net'
import type { PoolClient } from 'pg'
import { unavailable } from './errors.ts'

export interface InterruptionOptions {
  readonly client: PoolClient
  readonly host: string
  readonly port: number
  readonly signal: AbortSignal | undefined
  /** After this the server is taken for dead. */
  readonly timeoutMs: number
}

/** How long a statement may take to end after its cancellation was passed on. */
const GRACE_MS = 1000

/**
 * Ends what one connection runs when its caller is gone (the signal aborts) or the server is silent for too long: asks the
 * server to cancel the statement, and closes the connection if even that has no effect.
 */
export class Interruption {
  readonly #options: InterruptionOptions
  readonly #timer: NodeJS.Timeout
  #grace: NodeJS.Timeout | undefined
  #cancelling: Promise<void> | undefined
  #over = false
  #reason: unknown
  #lost = false

  constructor(options: InterruptionOptions) {
    this.#options = options
    this.#timer = setTimeout(() => this.#interrupt(silence()), options.timeoutMs)
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted === true) this.#onAbort()
  }

  /** What the caller is to be told: the signal's reason or `unavailable`; undefined when nothing was interrupted. */
  get reason(): unknown {
    return this.#reason
  }

  /** The connection was closed to end the statement. */
  get lost(): boolean {
    return this.#lost
  }

  /** To be awaited before the connection serves another call, so that a cancellation under way cannot hit that one. */
  async over(): Promise<void> {
    this.#over = true
    clearTimeout(this.#timer)
    clearTimeout(this.#grace)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    await this.#cancelling
  }

  readonly #onAbort = (): void => this.#interrupt(this.#options.signal?.reason)

  #interrupt(reason: unknown): void {
    if (this.#cancelling !== undefined) return
    this.#reason = reason
    this.#cancelling = this.#cancel()
  }

  async #cancel(): Promise<void> {
    const { client, host, port } = this.#options
    const key = backendKey(client)
    if (key !== undefined) await requestCancel({ host, port, ...key })
    if (this.#over) return
    this.#grace = setTimeout(() => {
      this.#lost = true
      // While a statement is under way this closes the socket at once, and the statement rejects.
      void client.end()
    }, GRACE_MS)
  }
}

function silence(): Error {
  return unavailable(new Error('the server did not answer in time'))
}

/** pg keeps what the server told it in fields that its types do not show. */
function backendKey(client: object): { readonly processId: number; readonly secretKey: number } | undefined {
  const { processID, secretKey } = { processID: undefined, secretKey: undefined, ...client }
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return undefined
  return { processId: processID, secretKey }
}

/** Which server process runs the statement, and the key that allows to interrupt it; told by PostgreSQL at connection. */
export interface BackendKey {
  readonly host: string
  readonly port: number
  readonly processId: number
  readonly secretKey: number
}

const CANCEL_REQUEST = 80_877_102
const TIMEOUT_MS = 1000

/**
 * Asks PostgreSQL, on a connection of its own that needs no free slot, to interrupt what a backend runs. Resolves when the
 * server has passed the request on (from then on it can hit no later statement), or after a second; never rejects.
 */
function requestCancel({ host, port, processId, secretKey }: BackendKey): Promise<void> {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(CANCEL_REQUEST, 4)
  request.writeInt32BE(processId, 8)
  request.writeInt32BE(secretKey, 12)
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write(request))
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve())
    socket.resume()
  })
}
