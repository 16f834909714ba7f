import { timingSafeEqual } from 'node:crypto'
import { lstatSync, rmSync } from 'node:fs'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  STATUS_CODES,
  type ServerResponse,
} from 'node:http'
import { connect, type ListenOptions } from 'node:net'
import type { Duplex } from 'node:stream'
import { dirname } from 'node:path'
import { digestOf } from '../config/control.ts'
import { codeOf, UserError, messageOf, RequestError } from '../config/errors.ts'
import type { ResolvedHttp } from '../config/resolved.ts'
import { isLoopback, formatSocketAddress } from '../config/socket-address.ts'
import { ATTACH_PROTOCOL, attachViewer, sizeQuery } from './attach.ts'
import { canonicalPath } from '../supervisor/guard/run-folder.ts'
import { createFolder } from '../supervisor/system/create-folder.ts'
import { checkQuery } from './query.ts'
import { CONFIG_HEADER } from './requests.ts'
import { routes, sendJson } from './routes.ts'
import type { ControlTarget } from './target.ts'

/** The connection limit, far more than browser tabs and scrapers need. */
const MAX_CONNECTIONS = 256
const KEEP_ALIVE_AFTER_MS = 60_000

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another port',
  EACCES: 'permission denied; choose a port of 1024 or more',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'unknown host name',
}

/**
 * Serves the control API on a Unix socket that only this user can open. Replaces a socket without a listener; rejects for
 * anything else at the path.
 */
export async function listenOnSocket(target: ControlTarget, path: string): Promise<Server> {
  await removeStaleSocket(path)
  const before = process.umask(0o177)
  try {
    // `listen` creates the socket synchronously, so the umask covers no other file.
    const listening = listen(target, { path }, { admitRequest: () => undefined, canType: true })
    process.umask(before)
    return await listening
  } finally {
    process.umask(before)
  }
}

/** Serves the control API over TCP and admits requests according to `http`. Rejects with a UserError. */
export async function listenOnHttp(target: ControlTarget, http: ResolvedHttp): Promise<Server> {
  const { host, port } = http
  try {
    return await listen(
      target,
      { host, port },
      { admitRequest: ({ headers }) => admit(headers, http), canType: http.tokenDigest !== null },
    )
  } catch (error) {
    const code = codeOf(error) ?? messageOf(error)
    const address = formatSocketAddress(http)
    const message = `control.http: cannot listen on ${address}: ${advice[code] ?? code}; nothing was started`
    throw new UserError(message, 1, { cause: error })
  }
}

interface ListenerOptions {
  readonly admitRequest: (request: IncomingMessage) => void
  /** Whether requests may type into terminals. */
  readonly canType: boolean
}

/**
 * Listens. After `close`, open connections end with the program, so clients detect the end of the orchestrator. `admitRequest`
 * throws a RequestError for a request that must be rejected.
 */
function listen(
  target: ControlTarget,
  address: ListenOptions,
  { admitRequest, canType }: ListenerOptions,
): Promise<Server> {
  // Keep-alive probes end the connection of a /logs follower whose machine is gone.
  const options = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS }
  const server = createServer(options, (request, response) => void handle(target, request, response, admitRequest))
  server.maxConnections = MAX_CONNECTIONS
  server.on('upgrade', (request, socket: Duplex) => upgrade(target, request, socket, { admitRequest, canType }))
  return new Promise((resolve, reject) => {
    // Keep the listener: a later error (a connection that cannot be accepted) must not throw.
    server.on('error', reject)
    server.listen(address, () => resolve(server))
  })
}

/** Attaches a viewer to the terminal of a process, or answers as {@link handle} does. */
function upgrade(
  target: ControlTarget,
  request: IncomingMessage,
  socket: Duplex,
  { admitRequest, canType }: Pick<ListenerOptions, 'admitRequest' | 'canType'>,
): void {
  socket.on('error', () => undefined)
  try {
    admitRequest(request)
    checkConfig(request.headers[CONFIG_HEADER], target.configPath)
    const { pathname, searchParams } = urlOf(request)
    if (pathname !== '/attach' || request.headers.upgrade !== ATTACH_PROTOCOL) {
      throw new RequestError(400, `only /attach can be upgraded, to ${ATTACH_PROTOCOL}`)
    }
    // A terminal runs what is typed, so over TCP a loopback address without a token is not enough.
    if (!canType) throw new RequestError(403, 'attach needs the control socket, or a configuration with a token')
    const route = routes.find(({ path }) => path === pathname)
    if (route !== undefined) checkQuery(route, searchParams)
    const size = sizeQuery.safeParse(Object.fromEntries(searchParams))
    if (!size.success) throw new RequestError(400, 'columns, rows: expected whole numbers from 1 to 10000')
    const { name, terminal } = target.terminalOf(searchParams.get('process') ?? '')
    attachViewer(name, terminal, socket, size.data)
  } catch (error) {
    const status = error instanceof RequestError ? error.status : 500
    const body = `${JSON.stringify({ error: messageOf(error) })}\n`
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n`
    socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }
}

/** Dispatches a request to its route. Never rejects: an error is answered as `{"error": "one line"}`. */
async function handle(
  target: ControlTarget,
  request: IncomingMessage,
  response: ServerResponse,
  admitRequest: (request: IncomingMessage) => void,
): Promise<void> {
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('cache-control', 'no-store')
  try {
    admitRequest(request)
    checkConfig(request.headers[CONFIG_HEADER], target.configPath)
    const { pathname, searchParams } = urlOf(request)
    const atPath = routes.filter(({ path }) => path === pathname)
    const route = atPath.find(
      ({ method, answersHead }) => method === request.method || (answersHead === true && request.method === 'HEAD'),
    )
    if (route === undefined) throw notFound(pathname, atPath)
    checkQuery(route, searchParams)
    await route.handle({ target, request, response, query: searchParams })
  } catch (error) {
    const status = error instanceof RequestError ? error.status : 500
    if (status === 401) response.setHeader('www-authenticate', 'Bearer')
    if (!response.headersSent) sendJson(response, status, { error: messageOf(error) })
  }
}

/**
 * Throws a RequestError for a request over TCP that must be rejected. Any web page can make a browser on this machine send
 * requests: `Host` reveals DNS rebinding to a loopback address; `Origin` reveals a page from another server.
 */
export function admit({ host, origin, authorization }: IncomingHttpHeaders, http: ResolvedHttp): void {
  if (isLoopback(http.host) && !isLoopbackHost(host)) {
    throw new RequestError(403, 'Host: expected localhost or a loopback address')
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    throw new RequestError(403, 'Origin: requests from pages of other servers are rejected')
  }
  if (http.tokenDigest !== null && !holdsToken(authorization, http.tokenDigest)) {
    throw new RequestError(401, 'expected the token of the configuration: Authorization: Bearer TOKEN')
  }
}

/** Returns whether the host is a loopback address; any port is allowed, because the request can come through a tunnel. */
function isLoopbackHost(host: string | undefined): boolean {
  const url = `http://${host ?? ''}`
  return URL.canParse(url) && isLoopback(new URL(url).hostname)
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return [`http://${host ?? ''}`, `https://${host ?? ''}`].includes(origin.toLowerCase())
}

/** Returns whether the request contains the token. Compares digests, because `timingSafeEqual` needs equal lengths. */
function holdsToken(authorization: string | undefined, tokenDigest: string): boolean {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return token !== undefined && timingSafeEqual(Buffer.from(digestOf(token)), Buffer.from(tokenDigest))
}

/** Removes a socket without a listener and creates the folder. Throws if a program listens at the path, or it is not a socket. */
async function removeStaleSocket(path: string): Promise<void> {
  createFolder(dirname(path), { advice: 'set another path' })
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket; remove it, or set another path`)
  if (await isListening(path)) throw new Error(`another program listens at ${path}; stop it, or set another path`)
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

/** Throws if the client expects another configuration file: two files can set the same socket. */
function checkConfig(header: string | string[] | undefined, own: string): void {
  if (typeof header !== 'string') return
  const expected = decodeURIComponent(header)
  if (canonicalPath(expected) === canonicalPath(own)) return
  throw new RequestError(
    409,
    `the orchestrator on this socket runs ${own}, not ${expected}; set a different control.socket in each file`,
  )
}

function notFound(path: string, atPath: typeof routes): RequestError {
  const list = (some: typeof routes) => some.map((route) => `${route.method} ${route.path}`).join(', ')
  if (atPath.length > 0) return new RequestError(405, `wrong method for ${path}; expected ${list(atPath)}`)
  return new RequestError(404, `unknown path ${path}; expected ${list(routes)}`)
}

function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://control')
  } catch {
    throw new RequestError(400, 'invalid path; expected a path such as /status')
  }
}

/** Returns the path without symbolic links; the path itself if no such file exists. */
