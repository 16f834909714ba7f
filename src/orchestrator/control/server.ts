import { timingSafeEqual } from 'node:crypto'
import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http'
import { connect, type ListenOptions } from 'node:net'
import { dirname } from 'node:path'
import { digestOf } from '../config/control.ts'
import { codeOf, ListenError, messageOf, RequestError } from '../config/errors.ts'
import type { ResolvedHttp } from '../config/resolved.ts'
import { isLoopback, formatSocketAddress } from '../config/socket-address.ts'
import type { ControlApi } from './api.ts'

/** Far more than browser tabs and scrapers need. */
const MAX_CONNECTIONS = 256
const KEEP_ALIVE_AFTER_MS = 60_000

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another port',
  EACCES: 'this user may not listen there; choose a port from 1024 on',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'unknown host name',
}

/** The control API at one address. */
export class ControlServer {
  readonly #server: Server

  private constructor(api: ControlApi, admitRequest?: (request: IncomingMessage) => void) {
    // Keep-alive probes end the connection of a /logs follower whose machine is gone.
    const options = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS }
    this.#server = createServer(options, (request, response) => void api.handle(request, response, admitRequest))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Listens on a Unix socket that only this user can open. Replaces a socket without a listener; rejects for anything else at the path. */
  static async onSocket(api: ControlApi, path: string): Promise<ControlServer> {
    await removeStaleSocket(path)
    const control = new ControlServer(api)
    const before = process.umask(0o177)
    try {
      // `listen` creates the socket synchronously, so the umask covers no other file.
      const listening = control.#listen({ path })
      process.umask(before)
      await listening
    } finally {
      process.umask(before)
    }
    return control
  }

  /** Listens over TCP and admits requests as `http` says. Rejects with a ListenError. */
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

  /** Accepts no more connections. Open ones end with the program, so clients notice the end of the orchestrator. */
  close(): void {
    this.#server.close()
  }

  #listen(options: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      // The listener stays: a later error (a connection that cannot be accepted) must not throw.
      this.#server.on('error', reject)
      this.#server.listen(options, resolve)
    })
  }
}

/**
 * Throws a RequestError for a request over TCP that must be rejected. Any web page can make a browser on this machine send
 * requests: `Host` shows a name that was rebound to a loopback address, `Origin` a page of another server.
 */
export function admit({ host, origin, authorization }: IncomingHttpHeaders, http: ResolvedHttp): void {
  if (isLoopback(http.host) && !isLoopbackHost(host)) {
    throw new RequestError(403, 'Host: expected localhost or a loopback address; other names are rejected here')
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    throw new RequestError(403, 'Origin: requests from pages of other servers are rejected')
  }
  if (http.tokenDigest !== null && !holdsToken(authorization, http.tokenDigest)) {
    throw new RequestError(401, 'expected the token of the configuration: Authorization: Bearer TOKEN')
  }
}

/** Any port is allowed, because the request may come through a tunnel. */
function isLoopbackHost(host: string | undefined): boolean {
  const url = `http://${host ?? ''}`
  return URL.canParse(url) && isLoopback(new URL(url).hostname)
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return [`http://${host ?? ''}`, `https://${host ?? ''}`].includes(origin.toLowerCase())
}

/** Compares digests, because `timingSafeEqual` needs equal lengths. */
function holdsToken(authorization: string | undefined, tokenDigest: string): boolean {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return token !== undefined && timingSafeEqual(Buffer.from(digestOf(token)), Buffer.from(tokenDigest))
}

/** Removes a socket without a listener and creates the folder. Throws if a program listens at the path, or it is not a socket. */
async function removeStaleSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket; remove it, or name another path`)
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
