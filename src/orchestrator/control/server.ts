import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { ListenOptions } from 'node:net'
import type { ResolvedHttp } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import { admit } from './admission.ts'
import type { ControlApi } from './api.ts'
import { ListenError } from './listen-error.ts'
import { makeRoomForSocket } from './socket-file.ts'

/** Far more than tabs and scrapers need. */
const MOST_CONNECTIONS = 256
const KEEP_ALIVE_AFTER_MS = 60_000

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop that one, or choose another port',
  EACCES: 'this user may not listen there; choose a port from 1024 on',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host is known',
}

/** The control API at one address. */
export class ControlServer {
  readonly #server: Server

  private constructor(api: ControlApi, refuse?: (request: IncomingMessage) => void) {
    // A follower of /logs whose machine is gone says nothing: the connection is tried now and then.
    const options = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS }
    this.#server = createServer(options, (request, response) => void api.answer(request, response, refuse))
    this.#server.maxConnections = MOST_CONNECTIONS
  }

  /** On a Unix socket that only this user can open. Rejects if it cannot be made; a socket that nobody listens at is replaced. */
  static async onSocket(api: ControlApi, path: string): Promise<ControlServer> {
    await makeRoomForSocket(path)
    const control = new ControlServer(api)
    const before = process.umask(0o177)
    try {
      // Made before this returns, so that nobody else can ever open it.
      const listening = control.#listen({ path })
      process.umask(before)
      await listening
    } finally {
      process.umask(before)
    }
    return control
  }

  /** Over TCP, as `http` allows it. Rejects with a ListenError. */
  static async onHttp(api: ControlApi, http: ResolvedHttp): Promise<ControlServer> {
    const control = new ControlServer(api, ({ headers }) => admit(headers, http))
    const { host, port } = http
    try {
      await control.#listen({ host, port })
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      const address = formatSocketAddress(http)
      throw new ListenError(`control.http: cannot listen on ${address}: ${advice[code] ?? code}`, error)
    }
    return control
  }

  /** Takes no more requests. Those under way end with the program, which is how a client learns that it has ended. */
  close(): void {
    this.#server.close()
  }

  #listen(options: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      // Stays: a connection that cannot be accepted later is no end of anything.
      this.#server.on('error', reject)
      this.#server.listen(options, resolve)
    })
  }
}
