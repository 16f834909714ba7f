import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { status as Status } from '@grpc/grpc-js'
import { DomainError } from '../../src/domain/errors.ts'
import { toRfc3339 } from '../../src/domain/instant.ts'
import type { TelemetryService } from '../../src/domain/telemetry-service.ts'
import { valueAt, type StoredEnvelope } from '../../src/domain/telemetry.ts'
import { csvRequest, csvUrl, csvLine, type CsvRequest } from './csv.ts'
import type { Observer } from './observer.ts'
import { statusOf } from './route.ts'

export interface CsvExportsOptions {
  readonly telemetry: Pick<TelemetryService, 'export'>
  readonly observe: Observer
  /** Timeout for a client that reads nothing. Default 60,000. */
  readonly idleMs?: number
}

/** The limit of concurrent exports; each occupies one of the few connections to ClickHouse. */
const MAX_EXPORTS = 4
/** The time for running exports to end during a shutdown. */
const DRAIN_MS = 10_000
/** The method's name in the request log and the metrics. */
const METHOD = 'GET /v1/organizations/{organization_id}/envelopes.csv'
const PLAIN = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }
const HTTP_STATUS: ReadonlyMap<Status, number> = new Map([
  [Status.INVALID_ARGUMENT, 400],
  [Status.NOT_FOUND, 404],
  [Status.FAILED_PRECONDITION, 505],
  [Status.UNAVAILABLE, 503],
])

/** The parts of a request that determine the columns. */
type ColumnRequest = Pick<CsvRequest, 'fieldPaths' | 'withUplink' | 'withWarnings'>

/** Streams envelopes as CSV over HTTP with back-pressure: only one batch is in memory. */
export class CsvExports {
  readonly #options: CsvExportsOptions
  /** Running exports with their abort controllers. */
  readonly #running = new Map<Promise<void>, AbortController>()
  #stopping = false

  constructor(options: CsvExportsOptions) {
    this.#options = options
  }

  /** Handles `/v1/organizations/{organization_id}/envelopes.csv`; returns false for any other path. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): boolean => {
    const url = csvUrl(request.url)
    if (url === null) return false
    if (request.method !== 'GET') {
      response.writeHead(405, { ...PLAIN, allow: 'GET' }).end('only GET is supported\n')
      return true
    }
    const controller = new AbortController()
    response.once('close', () => controller.abort(new Error('the client disconnected')))
    const running = this.#serve(url, request, response, controller.signal).finally(() => this.#running.delete(running))
    this.#running.set(running, controller)
    return true
  }

  /** Runs until the signal aborts; then rejects new exports, drains the running exports and aborts the rest. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await once(signal, 'abort')
    this.#stopping = true
    const cut = setTimeout(() => {
      for (const controller of this.#running.values()) controller.abort(stopping())
    }, DRAIN_MS)
    await Promise.all(this.#running.keys())
    clearTimeout(cut)
  }

  /** Serves an export; never rejects. */
  async #serve(url: URL, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const started = performance.now()
    let organizationId = ''
    let ended: { readonly code: Status; readonly error?: unknown } = { code: Status.OK }
    try {
      assertChunks(request)
      this.#assertCapacity()
      const input = csvRequest(url)
      ;({ organizationId } = input)
      const batches = this.#options.telemetry.export(input, 'field', { signal })
      await this.#send(response, batches, input, signal)
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error
      ended = response.destroyed ? { code: Status.CANCELLED } : { code: statusOf(reason).code, error: reason }
      refuse(response, reason)
    }
    this.#options.observe({ ...ended, method: METHOD, durationMs: performance.now() - started, organizationId })
  }

  /**
   * Sends nothing before the first batch, so that an error until then still gets a status. Each field path is a column; without
   * paths, all fields are in one column.
   */
  async #send(
    response: ServerResponse,
    batches: AsyncGenerator<readonly StoredEnvelope[], void, undefined>,
    request: ColumnRequest,
    signal: AbortSignal,
  ): Promise<void> {
    const paths = [...new Set(request.fieldPaths)]
    try {
      const first = await batches.next()
      response.setTimeout(this.#options.idleMs ?? 60_000, () => response.destroy())
      response.writeHead(200, {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': 'attachment; filename="envelopes.csv"',
        'cache-control': 'no-store',
      })
      const columns = paths.length === 0 ? ['data'] : paths
      const uplink = request.withUplink ? ['f_port', 'f_cnt', 'metadata'] : []
      const warnings = request.withWarnings ? ['warnings'] : []
      response.write(csvLine(['end_device_id', 'occurred_at', ...columns, ...uplink, ...warnings]))
      for (let next = first; next.done !== true; next = await batches.next()) {
        const text = next.value.map((stored) => lineOf(stored, paths, request)).join('')
        if (!response.write(text)) await once(response, 'drain', { signal })
      }
      response.end()
    } finally {
      await batches.return()
    }
  }

  #assertCapacity(): void {
    if (this.#stopping) throw stopping()
    if (this.#running.size < MAX_EXPORTS) return
    throw new DomainError('unavailable', `${MAX_EXPORTS} exports are already running; try again when one has ended`)
  }
}

/** Rejects HTTP/1.0, which ends a body by closing the connection: a client could not detect a truncated file. */
function assertChunks({ httpVersion }: IncomingMessage): void {
  if (httpVersion !== '1.0') return
  throw new DomainError(
    'failed_precondition',
    'CSV requires HTTP/1.1, also from a proxy (nginx: proxy_http_version 1.1)',
  )
}

function lineOf({ envelope }: StoredEnvelope, paths: readonly string[], request: ColumnRequest): string {
  const { endDeviceId, occurredAt, data, uplink, warnings } = envelope
  const values = paths.length === 0 ? [data] : paths.map((path) => valueAt(data, path))
  const uplinkValues = request.withUplink ? [uplink?.fPort, uplink?.fCnt, uplink?.metadata] : []
  const warningValues = request.withWarnings ? [warnings] : []
  return csvLine([endDeviceId, toRfc3339(occurredAt), ...values, ...uplinkValues, ...warningValues])
}

/** Answers with a status and one line; within a file, closes the connection, so that the client detects a truncated file. */
function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const { code, details } = statusOf(error)
  response.writeHead(HTTP_STATUS.get(code) ?? 500, {
    ...PLAIN,
    ...(code === Status.UNAVAILABLE ? { 'retry-after': '5' } : {}),
  })
  response.end(`${details}\n`)
}

function stopping(): DomainError {
  return new DomainError('unavailable', 'The service is stopping; try again')
}
