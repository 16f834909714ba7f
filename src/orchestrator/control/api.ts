import { realpathSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { nearestName, messageOf, RequestError } from '../config/errors.ts'
import type { LogHistory, LogLine } from '../supervisor/output/log-history.ts'
import { renderMetrics } from './metrics.ts'
import { CONFIG_HEADER, namesRequest } from './protocol.ts'
import type { Controllable } from './target.ts'

const MOST_BODY_BYTES = 64 * 1024
const DEFAULT_TAIL = 100

type Answer = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => Promise<void> | void
interface Route {
  /** For people, in a few words. */
  readonly gives: string
  readonly answer: Answer
}

/**
 * The control API (O-9), in HTTP:
 *
 * | request                                  | answer                                                             |
 * | ---------------------------------------- | ------------------------------------------------------------------ |
 * | `GET /`                                  | this list, in plain text                                           |
 * | `GET /status`                            | every process, as `status --json` shows it                         |
 * | `GET /logs?process=a&tail=100&follow=1`  | one JSON object a line; every process if none is named             |
 * | `POST /start`, `/stop`, `/restart`       | `{"processes": ["a"]}` → the status, when it is done               |
 * | `POST /reload`                           | what has changed                                                   |
 * | `POST /down`                             | at once; the orchestrator ends when everything is stopped          |
 * | `GET /metrics`                           | Prometheus                                                         |
 *
 * An error is `{"error": "one line"}`, with 400, 404, 405, 409, 413, or 422 for a configuration that is bad.
 */
export class ControlApi {
  readonly #target: Controllable
  readonly #routes: Readonly<Record<string, Route>>

  constructor(target: Controllable) {
    this.#target = target
    this.#routes = this.#makeRoutes()
  }

  /** Never rejects. `refuse` throws a RequestError for a request that is not to be met. */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    refuse: (request: IncomingMessage) => void = () => undefined,
  ): Promise<void> {
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('cache-control', 'no-store')
    try {
      refuse(request)
      this.#refuseForAnotherFile(request.headers[CONFIG_HEADER])
      const { pathname, searchParams } = urlOf(request)
      const route = this.#routes[`${request.method} ${pathname}`]
      if (route === undefined) throw this.#unknown(pathname)
      await route.answer(request, response, searchParams)
    } catch (error) {
      const status = error instanceof RequestError ? error.status : 500
      const message = messageOf(error)
      if (status === 401) response.setHeader('www-authenticate', 'Bearer')
      if (!response.headersSent) sendJson(response, status, { error: message })
    }
  }

  #makeRoutes(): Readonly<Record<string, Route>> {
    const target = this.#target
    const act = (action: (names: readonly string[]) => Promise<void>): Answer => {
      return async (request, response) => {
        await action(this.#known(await readNames(request)))
        sendJson(response, 200, target.status())
      }
    }
    const names = 'the processes of a body like {"processes": ["name"]}'
    return {
      'GET /': { gives: 'this list', answer: (_, response) => sendText(response, this.#list()) },
      'GET /status': {
        gives: 'every process: state, pid, uptime, restarts, CPU, memory',
        answer: (_, response) => sendJson(response, 200, target.status()),
      },
      'GET /logs': {
        gives: 'what the processes said last; ?process=NAME, ?tail=N, ?follow=1',
        answer: (_, response, query) => streamLogs(target.logs, this.#logRequest(query), response),
      },
      'GET /metrics': {
        gives: 'the figures of the processes, for Prometheus',
        answer: (_, response) => sendText(response, renderMetrics(target.status()), '; version=0.0.4'),
      },
      'POST /start': { gives: `starts ${names}`, answer: act((chosen) => target.start(chosen)) },
      'POST /stop': { gives: `stops ${names}`, answer: act((chosen) => target.stop(chosen)) },
      'POST /restart': { gives: `restarts ${names}`, answer: act((chosen) => target.restart(chosen)) },
      'POST /reload': {
        gives: 'reads the file again and applies what has changed',
        answer: async (_, response) => sendJson(response, 200, await target.reload()),
      },
      'POST /down': {
        gives: 'stops everything in order, and the orchestrator',
        answer: (_, response) => {
          sendJson(response, 200, target.status())
          // Also if whoever asked is gone by then.
          response.once('close', () => target.down())
        },
      },
    }
  }

  #list(): string {
    const routes = Object.entries(this.#routes).map(([route, { gives }]) => `${route.padEnd(14)}${gives}\n`)
    return `ponix-orchestrator, which runs ${this.#target.configPath}\n\n${routes.join('')}`
  }

  /** Two files may name one socket by mistake: a command for the one must not reach the other. */
  #refuseForAnotherFile(header: string | string[] | undefined): void {
    if (typeof header !== 'string') return
    const meant = decodeURIComponent(header)
    const own = this.#target.configPath
    if (realPath(meant) === realPath(own)) return
    throw new RequestError(409, `the orchestrator that listens there runs ${own}, not ${meant}`)
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

function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://control')
  } catch {
    throw new RequestError(400, 'expected the path of a request, such as /status')
  }
}

/** The path itself, if there is no such file any longer. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

function sendText(response: ServerResponse, body: string, form = ''): void {
  response.writeHead(200, { 'content-type': `text/plain${form}; charset=utf-8` })
  response.end(body)
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

/** With this much not taken by the reader, lines are left out and counted. */
const FULL_BYTES = 1024 * 1024

export interface LogRequest {
  readonly processes: readonly string[]
  readonly tail: number
  readonly follow: boolean
}

/**
 * Answers with one JSON object a line: the last lines, and with `follow` what comes until the reader goes. A reader that is
 * too slow never slows a process: it misses lines, and is told how many.
 */
function streamLogs(logs: LogHistory, { processes, tail, follow }: LogRequest, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  // The first line may be a long time coming.
  response.flushHeaders()
  const wanted = new Set(processes)
  let dropped = 0
  const send = (entries: readonly object[]) => {
    response.write(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  }
  const tellDropped = () => {
    if (dropped > 0) send([{ dropped }])
    dropped = 0
  }
  const write = (lines: readonly LogLine[]) => {
    const chosen = lines.filter(({ process }) => wanted.has(process))
    if (chosen.length === 0) return
    if (dropped > 0 || response.writableLength > FULL_BYTES) dropped += chosen.length
    else send(chosen)
  }
  response.on('drain', tellDropped)
  write(logs.tail(processes, tail))
  if (!follow) {
    response.end()
    return
  }
  response.once('close', logs.follow(write))
}
