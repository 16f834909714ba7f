import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { nearestName } from '../nearest-name.ts'
import type { Controllable } from './controllable.ts'
import { streamLogs } from './log-stream.ts'
import { renderMetrics } from './metrics.ts'
import { RequestError } from './request-error.ts'
import { namesRequest } from './status.ts'

const MOST_BODY_BYTES = 64 * 1024
const DEFAULT_TAIL = 100

type Route = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => Promise<void> | void

/**
 * The control API (O-9): HTTP on a Unix socket that only this user can open.
 *
 * | request                                  | answer                                                             |
 * | ---------------------------------------- | ------------------------------------------------------------------ |
 * | `GET /status`                            | every process, as `status --json` shows it                         |
 * | `GET /logs?process=a&tail=100&follow=1`  | one JSON object a line; every process if none is named             |
 * | `POST /start`, `/stop`, `/restart`       | `{"processes": ["a"]}` → the status, when it is done               |
 * | `POST /reload`                           | what has changed                                                   |
 * | `POST /down`                             | at once; the orchestrator ends when everything is stopped          |
 * | `GET /metrics`                           | Prometheus                                                         |
 *
 * An error is `{"error": "one line"}`, with 400, 404, 405, 413, or 422 for a configuration that is bad.
 */
export class ControlServer {
  readonly #server: Server
  readonly #target: Controllable
  readonly #routes: Readonly<Record<string, Route>>

  private constructor(target: Controllable) {
    this.#target = target
    this.#routes = this.#makeRoutes()
    this.#server = createServer((request, response) => void this.#answer(request, response))
    // A request may wait for a slow stop.
    this.#server.requestTimeout = 0
  }

  /** Rejects if the socket cannot be made. One that an orchestrator left behind is replaced: the caller holds the lock. */
  static async listen(target: Controllable, socketPath: string): Promise<ControlServer> {
    const control = new ControlServer(target)
    rmSync(socketPath, { force: true })
    await new Promise<void>((resolve, reject) => {
      control.#server.once('error', reject)
      control.#server.listen(socketPath, () => resolve())
    })
    chmodSync(socketPath, 0o600)
    return control
  }

  /** Takes no more requests. Those under way end with the program, which is how a client learns that it has ended. */
  close(): void {
    this.#server.close()
  }

  #makeRoutes(): Readonly<Record<string, Route>> {
    const target = this.#target
    const act =
      (action: (names: readonly string[]) => Promise<void>): Route =>
      async (request, response) => {
        await action(this.#known(await readNames(request)))
        answer(response, 200, target.status())
      }
    return {
      'GET /status': (_request, response) => answer(response, 200, target.status()),
      'GET /logs': (_request, response, query) => streamLogs(target.logs, this.#logRequest(query), response),
      'GET /metrics': (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
        response.end(renderMetrics(target.status()))
      },
      'POST /start': act((names) => target.start(names)),
      'POST /stop': act((names) => target.stop(names)),
      'POST /restart': act((names) => target.restart(names)),
      'POST /reload': async (_request, response) => answer(response, 200, await target.reload()),
      'POST /down': (_request, response) => {
        answer(response, 200, target.status())
        response.once('finish', () => target.down())
      },
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://control')
    try {
      const route = this.#routes[`${request.method} ${url.pathname}`]
      if (route === undefined) throw this.#unknown(url.pathname)
      await route(request, response, url.searchParams)
    } catch (error) {
      const status = error instanceof RequestError ? error.status : 500
      const message = error instanceof Error ? error.message : String(error)
      if (!response.headersSent) answer(response, status, { error: message })
    }
  }

  #unknown(path: string): RequestError {
    const methods = Object.keys(this.#routes).filter((route) => route.endsWith(` ${path}`))
    if (methods.length > 0) return new RequestError(405, `${path} takes ${methods.join(', ')}`)
    return new RequestError(404, `there is no ${path}; there are ${Object.keys(this.#routes).join(', ')}`)
  }

  /** The processes that are meant: of a name with instances all of these. */
  #known(names: readonly string[]): readonly string[] {
    const known = names.flatMap((name) => {
      const meant = this.#target.instancesNamed(name)
      if (meant.length > 0) return meant
      const nearest = nearestName(name, this.#target.names)
      const hint = nearest === null ? `there are ${this.#target.names.join(', ')}` : `did you mean "${nearest}"?`
      throw new RequestError(404, `there is no process "${name}"; ${hint}`)
    })
    return [...new Set(known)]
  }

  #logRequest(query: URLSearchParams) {
    const names = query.getAll('process')
    const tail = Number(query.get('tail') ?? DEFAULT_TAIL)
    if (!Number.isInteger(tail) || tail < 0) throw new RequestError(400, 'tail: expected a whole number from 0')
    const processes = names.length === 0 ? this.#target.names : this.#known(names)
    return { processes, tail, follow: query.get('follow') === '1' }
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

async function readNames(request: IncomingMessage): Promise<readonly string[]> {
  const form = 'expected a body like {"processes": ["name"]}'
  if (Number(request.headers['content-length'] ?? MOST_BODY_BYTES + 1) > MOST_BODY_BYTES) {
    throw new RequestError(413, `${form}, with its length, of at most ${MOST_BODY_BYTES} bytes`)
  }
  try {
    return namesRequest.parse(JSON.parse(await text(request))).processes
  } catch {
    throw new RequestError(400, form)
  }
}
