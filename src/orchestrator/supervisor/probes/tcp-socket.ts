import { connect } from 'node:net'
import { messageOf } from '../../config/errors.ts'

/** Resolves when the address accepts a connection; names are looked up, IPv4 and IPv6. Rejects with the reason. */
export function checkTcpSocket(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const abort = () => {
      socket.destroy()
      reject(new Error(`${host}:${port} did not answer`))
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve()
    })
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort)
      reject(new Error(messageOf(error), { cause: error }))
    })
    if (signal.aborted) abort()
  })
}
