import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { createGzip, gzip } from 'node:zlib'
import type { NativeResult } from './engine.ts'
import { httpStatusOf, type ClickHouseException } from './exception.ts'
import type { QueryRequest } from './query-request.ts'

/** The result of a query. */
export type Outcome =
  | { readonly kind: 'whole'; readonly format: string; readonly result: NativeResult; readonly isInsert: boolean }
  | { readonly kind: 'chunks'; readonly format: string; readonly chunks: AsyncIterator<Uint8Array, void, undefined> }

const gzipWhole = promisify(gzip)

/** The HTTP response to one request, in ClickHouse's form. */
export class Answer {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #version: string
  /** Marks an exception within a body, so that clients can distinguish it from data. */
  readonly #tag = randomBytes(8).toString('hex')
  /** The response, or a compressor in front of it. */
  #body: Writable | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    engine: { readonly version: string; readonly timezone: string },
  ) {
    this.#request = request
    this.#response = response
    this.#version = engine.version
    response.setHeader('X-ClickHouse-Server-Display-Name', 'ponix-embedded')
    response.setHeader('X-ClickHouse-Timezone', engine.timezone)
    response.setHeader('X-ClickHouse-Exception-Tag', this.#tag)
  }

  /** Sends plain text instead of the result of a query. */
  text(status: number, text: string): void {
    this.#response.writeHead(status, { 'Content-Type': 'text/plain; charset=UTF-8' }).end(text)
  }

  /** Sends the outcome of a query. Calls `beforeEnd` before the client can detect the end. Throws errors of the connection and the engine. */
  async outcome(outcome: Outcome, query: QueryRequest, signal: AbortSignal, beforeEnd: () => void): Promise<void> {
    if (outcome.kind === 'whole') return this.#whole(outcome, query, beforeEnd)
    const first = await outcome.chunks.next()
    this.#head(outcome.format, query, { rowsRead: 0, bytesRead: 0, elapsed: 0 }, false)
    const body = this.#chunkedBody(query)
    this.#body = body
    try {
      for (let next = first; next.done !== true; next = await outcome.chunks.next()) {
        if (!body.write(next.value)) await once(body, 'drain', { signal })
      }
    } finally {
      await outcome.chunks.return?.()
    }
    beforeEnd()
    body.end()
  }

  /** Reports an exception: by status and headers, or within a started body, which then ends with the connection. */
  exception(exception: ClickHouseException): void {
    const text = exception.toText(this.#version)
    if (this.#body !== undefined) return this.#exceptionInBody(text)
    this.#response.setHeader('X-ClickHouse-Exception-Code', exception.code)
    this.text(this.#response.hasHeader('WWW-Authenticate') ? 401 : httpStatusOf(exception.code), text)
  }

  async #whole(
    outcome: Extract<Outcome, { kind: 'whole' }>,
    query: QueryRequest,
    beforeEnd: () => void,
  ): Promise<void> {
    this.#head(outcome.format, query, outcome.result, outcome.isInsert)
    let { bytes } = outcome.result
    if (this.#compresses(query)) bytes = await gzipWhole(bytes, { level: query.compressionLevel })
    this.#response.setHeader('Content-Length', bytes.length)
    beforeEnd()
    this.#response.end(bytes)
  }

  #head(format: string, query: QueryRequest, figures: Omit<NativeResult, 'bytes'>, isInsert: boolean): void {
    this.#response.setHeader('Content-Type', contentTypeOf(format))
    this.#response.setHeader('X-ClickHouse-Format', format)
    this.#response.setHeader('X-ClickHouse-Summary', summaryText(figures, isInsert))
    if (this.#compresses(query)) this.#response.setHeader('Content-Encoding', 'gzip')
  }

  #compresses(query: QueryRequest): boolean {
    return query.compression && /\bgzip\b/i.test(this.#request.headers['accept-encoding'] ?? '')
  }

  #chunkedBody(query: QueryRequest): Writable {
    if (!this.#compresses(query)) return this.#response
    const compressor = createGzip({ level: query.compressionLevel })
    compressor.pipe(this.#response)
    return compressor
  }

  #exceptionInBody(text: string): void {
    const length = Buffer.byteLength(text)
    const block = `\r\n__exception__\r\n${this.#tag}\r\n${text}${length} ${this.#tag}\r\n__exception__\r\n`
    const response = this.#response
    if (this.#body === response) response.write(block, () => response.socket?.destroySoon())
    else this.#body?.end(block)
  }
}

/** Renders the summary, in which ClickHouse writes numbers as strings. */
function summaryText({ rowsRead, bytesRead, elapsed }: Omit<NativeResult, 'bytes'>, isInsert: boolean): string {
  const [rows, bytes] = [String(rowsRead), String(bytesRead)]
  return JSON.stringify({
    read_rows: rows,
    read_bytes: bytes,
    written_rows: isInsert ? rows : '0',
    written_bytes: isInsert ? bytes : '0',
    total_rows_to_read: '0',
    result_rows: rows,
    result_bytes: bytes,
    elapsed_ns: String(Math.round(elapsed * 1e9)),
  })
}

/** Formats whose separately written chunks concatenate to the same result as one write. */
const CHUNKABLE = new Set(
  (
    'jsoneachrow jsonlines ndjson jsoncompacteachrow jsonstringseachrow jsoncompactstringseachrow ' +
    'tabseparated tsv tabseparatedraw tsvraw raw csv lineasstring rawblob rowbinary native tskv'
  ).split(' '),
)

/** Returns whether rows in this format can be streamed without buffering the whole result. */
export function isChunkable(format: string): boolean {
  return CHUNKABLE.has(format.toLowerCase())
}

/** Returns the Content-Type of ClickHouse for a format. */
function contentTypeOf(format: string): string {
  const name = format.toLowerCase()
  if (/^(json.*eachrow|jsonlines|ndjson)/.test(name)) return 'application/x-ndjson; charset=UTF-8'
  if (name.startsWith('json')) return 'application/json; charset=UTF-8'
  if (name === 'csvwithnames' || name === 'csvwithnamesandtypes') return 'text/csv; charset=UTF-8; header=present'
  if (name === 'csv') return 'text/csv; charset=UTF-8; header=absent'
  if (/^(tabseparated|tsv|raw$)/.test(name)) return 'text/tab-separated-values; charset=UTF-8'
  if (name === 'xml') return 'application/xml; charset=UTF-8'
  if (/^(native|rowbinary|arrow|parquet|orc|avro|msgpack|rawblob|bson)/.test(name)) return 'application/octet-stream'
  return 'text/plain; charset=UTF-8'
}
