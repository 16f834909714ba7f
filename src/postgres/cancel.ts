import { connect } from 'node:net'

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
export function requestCancel({ host, port, processId, secretKey }: BackendKey): Promise<void> {
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
