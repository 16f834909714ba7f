import { realpathSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf, RequestError } from '../config/errors.ts'
import { CONFIG_HEADER } from './protocol.ts'
import { routes, sendJson } from './routes.ts'
import type { ControlTarget } from './target.ts'

/** Dispatches HTTP requests to the routes. An error is answered as `{"error": "one line"}`. */
export class ControlApi {
  readonly #target: ControlTarget

  constructor(target: ControlTarget) {
    this.#target = target
  }

  /** Never rejects. `admitRequest` throws a RequestError for a request that must be rejected. */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    admitRequest: (request: IncomingMessage) => void = () => undefined,
  ): Promise<void> {
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('cache-control', 'no-store')
    try {
      admitRequest(request)
      checkConfig(request.headers[CONFIG_HEADER], this.#target.configPath)
      const { pathname, searchParams } = urlOf(request)
      const atPath = routes.filter(({ path }) => path === pathname)
      const route = atPath.find(({ method }) => method === request.method)
      if (route === undefined) throw notFound(pathname, atPath)
      await route.handle({ target: this.#target, request, response, query: searchParams })
    } catch (error) {
      const status = error instanceof RequestError ? error.status : 500
      if (status === 401) response.setHeader('www-authenticate', 'Bearer')
      if (!response.headersSent) sendJson(response, status, { error: messageOf(error) })
    }
  }
}

/** Two files may name the same socket: a command for one must not reach the orchestrator of the other. */
function checkConfig(header: string | string[] | undefined, own: string): void {
  if (typeof header !== 'string') return
  const expected = decodeURIComponent(header)
  if (realPath(expected) === realPath(own)) return
  throw new RequestError(409, `the orchestrator that listens there runs ${own}, not ${expected}`)
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

/** The path itself if no such file exists. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
