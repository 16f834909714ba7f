import { timingSafeEqual } from 'node:crypto'
import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type IncomingHttpHeaders } from 'node:http'
import { type ListenOptions, connect } from 'node:net'
import { dirname } from 'node:path'
import { digestOf } from '../config/control.ts'
import { codeOf, ListenError, messageOf, RequestError } from '../config/errors.ts'
import type { ResolvedHttp } from '../config/resolved.ts'
import { isLoopback, formatSocketAddress } from '../config/socket-address.ts'
import type { ControlApi } from './api.ts'

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
      const code = codeOf(error) ?? messageOf(error)
      const address = formatSocketAddress(http)
      throw new ListenError(`control.http: cannot listen on ${address}: ${advice[code] ?? code}; nothing was started`, {
        cause: error,
      })
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

/**
 * Throws a RequestError for a request over TCP that is not to be met. A browser on this machine may be made by any page to
 * ask an address of this machine: a name that was made to lead here is told by `Host`, another page by `Origin`. With a
 * token nothing is answered without it.
 */
export function admit({ host, origin, authorization }: IncomingHttpHeaders, http: ResolvedHttp): void {
  if (isLoopback(http.host) && !isOfThisMachine(host)) {
    throw new RequestError(403, 'Host: expected localhost or 127.0.0.1; no other name is answered at this address')
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    throw new RequestError(403, 'Origin: pages of other servers are not answered')
  }
  if (http.tokenDigest !== null && !holdsToken(authorization, http.tokenDigest)) {
    throw new RequestError(401, 'expected the token of the configuration: Authorization: Bearer TOKEN')
  }
}

/** The port may be another one, as at the end of a tunnel. */
function isOfThisMachine(host: string | undefined): boolean {
  const url = `http://${host ?? ''}`
  return URL.canParse(url) && isLoopback(new URL(url).hostname)
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return [`http://${host ?? ''}`, `https://${host ?? ''}`].includes(origin.toLowerCase())
}

/** Digests have one length, and to compare them takes one time, whatever was sent. */
function holdsToken(authorization: string | undefined, tokenDigest: string): boolean {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return token !== undefined && timingSafeEqual(Buffer.from(digestOf(token)), Buffer.from(tokenDigest))
}

/**
 * Removes the socket that an orchestrator left behind, and makes the folder if there is none. Throws an error for people if
 * somebody listens at the path, or something else lies there.
 */
async function makeRoomForSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`${path} is there already and is no socket; remove it, or name another path`)
  if (await isListening(path)) throw new Error(`another program listens at ${path}; name another path`)
  rmSync(path, { force: true })
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'ENOENT'))
  })
}
