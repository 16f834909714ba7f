import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from '../../../src/runner/logger.ts'
import { Answer } from './answer.ts'
import type { Engine } from './engine.ts'
import { ClickHouseException, toException } from './exception.ts'
import { execute } from './execution.ts'
import { receiveQuery, type ArrivedQuery } from './query-body.ts'
import { authenticate, type Credentials, readQueryRequest } from './query-request.ts'
import { Sessions } from './sessions.ts'

export interface HttpInterfaceOptions extends Credentials {
  readonly engine: Engine
  /** Default database of requests. */
  readonly database: string
  /** The folder for the data of inserts until the engine has read it. */
  readonly spoolDir: string
  readonly logger: Logger
}

/** A URL can contain a query and its parameters; ClickHouse accepts 1 MiB. */
const MAX_HEADER_BYTES = (1 << 20) + (64 << 10)

/** ClickHouse's HTTP interface in front of the engine. */
export class HttpInterface {
  readonly server: Server
  readonly #options: HttpInterfaceOptions
  readonly #sessions: Sessions
  /** Running requests with their abort controllers. */
  readonly #running = new Map<Promise<void>, AbortController>()

  constructor(options: HttpInterfaceOptions) {
    this.#options = options
    this.#sessions = new Sessions(options.engine)
    this.server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 10_000, requestTimeout: 0 },
      (request, response) => this.#begin(request, response),
    )
  }

  /** Rejects new requests, drains the running requests for `graceMs`, and aborts the rest. */
  async stop(graceMs: number): Promise<void> {
    this.server.close()
    this.server.closeIdleConnections()
    const cut = setTimeout(() => {
      for (const controller of this.#running.values()) controller.abort(new Error('the server is stopping'))
      this.server.closeAllConnections()
    }, graceMs)
    while (this.#running.size > 0) await Promise.allSettled(this.#running.keys())
    clearTimeout(cut)
    this.server.closeAllConnections()
    this.#sessions.close()
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const controller = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) controller.abort(new Error('the client disconnected'))
    })
    const running = this.#serve(request, response, controller.signal).finally(() => this.#running.delete(running))
    this.#running.set(running, controller)
  }

  /** Serves a request; never rejects. */
  async #serve(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const answer = new Answer(request, response, this.#options.engine)
    try {
      const url = new URL(request.url ?? '/', 'http://localhost')
      if (!this.#serveWithoutQuery(url, request, answer)) await this.#serveQuery(url, request, response, answer, signal)
    } catch (error) {
      if (signal.aborted && response.destroyed) return
      const exception = toException(error)
      this.#options.logger.debug({ code: exception.code }, exception.message)
      answer.exception(exception)
    }
  }

  #serveWithoutQuery(url: URL, request: IncomingMessage, answer: Answer): boolean {
    const reads = request.method === 'GET' || request.method === 'HEAD'
    const known = ['/', '/query'].includes(url.pathname)
    if (reads && ['/ping', '/replicas_status'].includes(url.pathname)) answer.text(200, 'Ok.\n')
    else if (!known) answer.text(404, `There is no handle ${url.pathname}; use /ping, or / with a query\n`)
    else if (!reads && request.method !== 'POST') answer.text(501, `Method ${request.method} is not supported\n`)
    else if (reads && url.search === '') answer.text(200, 'Ok.\n')
    else return false
    return true
  }

  async #serveQuery(
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
    answer: Answer,
    signal: AbortSignal,
  ): Promise<void> {
    authenticate(this.#options, url.searchParams, request, response)
    const query = readQueryRequest(url.searchParams, request.headers)
    response.setHeader('X-ClickHouse-Query-Id', query.id)
    const arrived = await receiveQuery(request, query.query, this.#options.spoolDir)
    try {
      refuseChangeByGet(arrived, request.method)
      const { engine, database } = this.#options
      await execute({ engine, database, sessions: this.#sessions }, query, arrived, signal, answer)
    } finally {
      if (arrived.kind === 'insert') await rm(arrived.dataFile, { force: true })
    }
  }
}

/** Throws for a GET that is not read-only. */
function refuseChangeByGet(query: ArrivedQuery, method: string | undefined): void {
  if (method === 'POST' || (query.kind === 'query' && query.statement.readOnly)) return
  const message =
    'Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. ' +
    'You should use method POST for modifying queries'
  throw new ClickHouseException(164, 'READONLY', message)
}
